"""`python -m langchain_prodpatterns.demo`."""

import sys

from langchain_prodpatterns.demo.app import main

if __name__ == "__main__":
    sys.exit(main())
