# %% [markdown]
# # From a messy page to a checked object, at the price of the small model
#
# Invoices come as scans, mails and photographs of a counter. A small model reads most
# of them right, and some of them not: it forgets a field, or drops a zero, and what it
# returns looks like any other answer. `StructuredRetryParser` checks each answer, asks
# again with what is wrong, and climbs to a stronger model where that does not help.
# What no model gets right ends in one error that tells the whole story.
#
# 1. from text to an object, without a model call
# 2. partial objects while the model writes
# 3. a ladder, and a validator that catches a wrong sum
# 4. when nothing fits: the attempts in the error
# 5. what each rung costs
#
# **Real:** the parser, the ladder, the validator, the budget, the ledger. **Scripted:**
# what the models answer, and the prices. So nothing here says how often a model of a
# given size is right: measure that on pages of your own.
#
# No key, no network, no download: `pip install langchain-prodpatterns`. For your own
# provider, put your models in place of those of the next cell.

# %%
import re
from typing import Any, Literal

from langchain_core.prompts import ChatPromptTemplate
from pydantic import BaseModel, Field

from langchain_prodpatterns import (
    Budget,
    Ledger,
    Rung,
    SchemaParser,
    StructuredOutputError,
    StructuredRetryParser,
    track,
)
from langchain_prodpatterns.structured import Attempt
from langchain_prodpatterns.testing import Reply, Rule, ScriptedChatModel


class Line(BaseModel):
    """One position of an invoice."""

    item: str
    quantity: int = Field(ge=1)
    each: float = Field(description="Price of one, net")


class Invoice(BaseModel):
    """An invoice."""

    number: str
    seller: str
    currency: Literal["EUR", "USD", "GBP"]
    lines: list[Line]
    total: float = Field(description="Net, all lines together")


PAGES = {
    "A-17": """
        HARBOR CHANDLERS ltd.        ** received 3 MAY **   inv. A-17
        rope 12mm, 40 at 2.50 ........ 100.00
        life vest ... 10 pcs @ 120.00 ..... 1,200.00 (adult)
        paid in: euros      SUM 1,300.00      thx for your custom!""",
    "A-18": """
        inv A-18, Skerry Paints: white paint 4 x 30.00 eur, sum 120.00""",
    "A-19": """
        inv A-19, Skerry Paints: brushes 12 x 4.00 eur, sum 48.00""",
    "A-20": """
        Invoice A-20 (2nd copy, water stain) HARBOR CHANDLERS ltd. EUR
        lamp oil 6 x 15.00 / fuses ?? x 3.00 / sum 1?5.00""",
}


def answer(
    number: str, seller: str, *lines: tuple[str, int, float], total: float
) -> Any:
    """Write what a model answers when it leaves nothing out."""
    items = [
        dict(zip(("item", "quantity", "each"), line, strict=True)) for line in lines
    ]
    head = {"number": number, "seller": seller, "currency": "EUR"}
    return {**head, "lines": items, "total": total}


rope, vests = ("rope 12mm", 40, 2.5), ("life vest, adult", 10, 120.0)
right = answer("A-17", "Harbor Chandlers ltd.", rope, vests, total=1300.0)
dropped = answer(
    "A-17", "Harbor Chandlers ltd.", rope, (*vests[:2], 12.0), total=1300.0
)
without_currency = {key: value for key, value in dropped.items() if key != "currency"}
currency = [{"op": "add", "path": "/currency", "value": "EUR"}]
paint = answer("A-18", "Skerry Paints", ("white paint", 4, 30.0), total=120.0)
brushes = answer("A-19", "Skerry Paints", ("brushes", 12, 4.0), total=48.0)
oil = ("lamp oil", 6, 15.0)
guesses = [
    answer("A-20", "Harbor Chandlers ltd.", oil, ("fuses", count, 3.0), total=total)
    for count, total in [(1, 115.0), (10, 125.0), (5, 115.0), (20, 155.0)]
]


def page(number: str, *replies: Any) -> Rule:
    """Answer each request about a page with the next reply."""
    return Rule(number, within="prompt", replies=replies, cycle=True)


fenced = f"Here you are:\n```json\n{Reply(paint).content}\n```\nAnything else?"
small = ScriptedChatModel(
    model="scan-small",
    rules=[
        page("A-17", without_currency, currency),
        page("A-18", fenced),
        page("A-19", brushes),
        page("A-20", *guesses[:2]),
    ],
)
large = ScriptedChatModel(
    model="scan-large", rules=[page("A-17", right), page("A-20", *guesses[2:])]
)
PRICES = {"scan-small": (0.15, 0.60), "scan-large": (2.50, 10.00)}

# %% [markdown]
# ## 1. From text to an object, without a model call
#
# `SchemaParser` is the layer below: it finds the answer in what a model wrote, mends
# what is only notation, and validates. It refuses rather than invents: a field that is
# missing stays missing, and an answer that breaks off is not closed and accepted.

# %%
parser = SchemaParser(Invoice)
WRITTEN = """Sure! I read the page as follows.
{'number': 'A-18', seller: "Skerry Paints", "currency": "eur",
 "lines": {"item": "white paint", "quantity": "4", "each": "30.00"},
 "total": "EUR 120.00",}"""
report = parser.parse_with_report(WRITTEN)
print(report.value)
for repair in report.attempts[0].repairs:
    print("-", repair)

# %%
for text in ('{"number": "A-18", "total": 120}', '{"number": "A-18", "seller": "Sk'):
    try:
        parser.parse(text)
    except StructuredOutputError as error:
        print(f"{type(error).__name__}: {error}")

# %% [markdown]
# The instructions for the model declare the type, in a fraction of the tokens of its
# JSON Schema:

# %%
print(parser.get_format_instructions())

# %% [markdown]
# ## 2. Partial objects while the model writes
#
# In a stream, it yields the object as it grows, in the shape of the final one: a text
# grows, a number appears when it is complete, and what is not there yet is `None`. The
# last one is validated.

# %%
prompt = ChatPromptTemplate(
    [("system", "You read invoices.\n{form}"), ("human", "{page}")]
).partial(form=parser.get_format_instructions())
seen = ""
for invoice in (prompt | small | parser).stream({"page": PAGES["A-19"]}):
    lines = [(line.item, line.quantity, line.each) for line in invoice.lines or []]
    shown = f"{invoice.seller!s:<14} {lines} {invoice.total}"
    if shown != seen:
        print(shown)
    seen = shown

# %% [markdown]
# ## 3. A ladder, and a validator that catches a wrong sum
#
# The small model is asked twice, the second time at a higher temperature, then the
# large one. `validators` are functions of the validated value; they return what is
# wrong, and the model is told. The instructions are added by themselves here.
#
# `max_retries=0` is what a model of your own needs: the ladder does the retries, and
# those that a client makes by itself would be in no budget.

# %%


def adds_up(invoice: Invoice) -> str | None:
    """Check the total: no model has to be believed here."""
    come_to = sum(line.quantity * line.each for line in invoice.lines)
    if round(come_to - invoice.total, 2) == 0:
        return None
    return f"the lines come to {come_to:.2f}, but total is {invoice.total:.2f}"


ask = ChatPromptTemplate([("system", "You read invoices."), ("human", "{page}")])
reader = StructuredRetryParser(
    Invoice,
    ladder=[Rung(small, temperatures=(0, 0.7)), large],
    budget=Budget(attempts=4),
    validators=[adds_up],
    reminder="Copy figures as they stand on the page.",
    include_attempts=True,
)
chain = ask | reader


def tell(attempts: tuple[Attempt, ...]) -> None:
    """Print what came of each attempt."""
    for number, attempt in enumerate(attempts, 1):
        wrong = "; ".join(
            ": ".join(filter(None, (error.path, error.message)))
            for error in attempt.errors
        )
        print(f"{number}. {attempt.model}, {attempt.kind}. {wrong}".rstrip(". "))


small.reset()
result = chain.invoke({"page": PAGES["A-17"]})
tell(result.attempts)
print(f"rung {result.rung}: {result.value.lines[-1]}, total {result.value.total}")

# %% [markdown]
# The small model left out the currency, and was asked for that field alone, as a JSON
# Patch. With it the answer was a valid `Invoice`, and wrong: 12 for 120. No schema sees
# that. What the large model was then told is the page and the last failure only, so the
# prompt does not grow with the attempts:

# %%
[request] = large.requests
for message in request.messages[1:]:
    # The delimiters hold a random number, which a page cannot guess.
    content = re.sub(r"\b[0-9a-f]{32}\b", "nonce", message["content"])
    print(f"[{message['role']}]\n{content}".replace(" " * 8, ""))

# %% [markdown]
# ## 4. When nothing fits: the attempts in the error
#
# The stain on A-20 hides two figures. Every model guesses, and no guess adds up. (One
# that did would pass: a validator sees what contradicts itself, not what is invented.)
# The message of the error is fit for a log: it holds no text of the page or of a model.

# %%
try:
    chain.invoke({"page": PAGES["A-20"]})
except StructuredOutputError as error:
    failed = error
print(failed)

# %% [markdown]
# Everything else is in its fields, for the clerk who types this one in:

# %%
tell(failed.attempts)
print("kinds:", [attempt.kind for attempt in failed.attempts])
print("temperatures:", [attempt.temperature for attempt in failed.attempts])
print("last text:", failed.llm_output)

# %% [markdown]
# `BudgetExceeded`, `ModelRefused` and `OutputTruncated` are kinds of this error, and
# LangChain's `OutputParserException` is what all of them are, so `with_fallbacks` and
# other code that expects that one goes on working.
#
# ## 5. What each rung costs
#
# A `Ledger` is a callback handler. One that stands at a rung's model hears that rung
# alone; `track()` hears everything.

# %%
rungs = {"small": Ledger(prices=PRICES), "large": Ledger(prices=PRICES)}
heard = ask | StructuredRetryParser(
    Invoice,
    ladder=[
        Rung(small.with_config(callbacks=[rungs["small"]]), temperatures=(0, 0.7)),
        large.with_config(callbacks=[rungs["large"]]),
    ],
    budget=Budget(attempts=4),
    validators=[adds_up],
)
for model in (small, large):
    model.reset()
with track(prices=PRICES) as ledger:
    heard.batch([{"page": text} for text in PAGES.values()], return_exceptions=True)
for name, of_rung in rungs.items():
    spent = of_rung.summary()
    print(f"{name}: {spent.calls} calls, {spent.usd:.6f} usd")
total = ledger.summary()
print(f"in all: {total.calls} calls, {total.usd:.6f} usd")

# %% [markdown]
# The pages that the small model reads are cheap; the two others cost nearly all of it.
# The ledger's records say the same of each page:

# %%
for row in sorted(
    ledger.to_records(), key=lambda row: (row.calls, row.reason, row.usd)
):
    print(f"{row.decision:<17} {row.calls} calls {row.usd:.6f} usd  {row.reason}")

# %% [markdown]
# A limit in money ends what gets too dear, with all attempts told as before. It is
# looked at before each call, so what it overshoots is the call in flight:

# %%
thrifty = StructuredRetryParser(
    Invoice,
    ladder=[Rung(small, temperatures=(0, 0.7)), large],
    budget=Budget(attempts=4, usd=0.0005, prices=PRICES),
    validators=[adds_up],
)
try:
    (ask | thrifty).invoke({"page": PAGES["A-20"]})
except StructuredOutputError as error:
    print(f"{type(error).__name__}: {error}")
