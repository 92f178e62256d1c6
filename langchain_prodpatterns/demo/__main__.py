"""`python -m langchain_prodpatterns.demo`."""

import sys

from langchain_prodpatterns.demo.launch import launch

if __name__ == "__main__":
    sys.exit(launch())
