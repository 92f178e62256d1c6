# %% [markdown]
# # Start simple: six steps, one line each, and what each one costs and buys
#
# Nobody needs six patterns on the first day. Start with a prompt, count what goes wrong
# on questions of your own, and add the one line that mends most of it. This page goes
# up that ladder with one chain:
#
# 1. a plain prompt
# 2. few-shot examples
# 3. external data
# 4. a typed answer
# 5. tool choice
# 6. refinement
# 7. the table: what each step cost in calls, tokens and seconds, and what it bought
#
# **Real:** the chain and every step of it, the search, the router, the checks, and the
# counts of calls and tokens, which are the ledger's. **Scripted:** the model. It knows
# what stands in its prompt, and goes wrong where a plan says so. So the table shows
# what runs when and what that costs. It measures control flow and not the quality of
# answers: how much each step buys you, only your own questions and your own model can
# tell.
#
# No key, no network, no download: `pip install langchain-prodpatterns`. For your own
# provider, put your model and embeddings in place of those of the next cells.

# %%
import json
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import (
    Runnable,
    RunnableConfig,
    RunnableLambda,
    RunnablePassthrough,
)
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel, ValidationError

from langchain_prodpatterns import (
    RefineChain,
    Route,
    StructuredRetryParser,
    ToolRouter,
    track,
)
from langchain_prodpatterns.ledger import LedgerSummary
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedChatModel,
    ScriptedRequest,
)

# %% [markdown]
# The task: a screen at a ferry's ticket desk. It shows a text of 60 characters at most,
# and books the price, so it needs an object. Twelve questions with what is right:


# %%
class Answer(BaseModel):
    """What the screen needs."""

    text: str
    euros: float


@dataclass(frozen=True)
class Case:
    """A question, what is right, and what the plan has go wrong."""

    question: str
    text: str
    euros: float
    needs: str = ""
    """What has to stand in the prompt; without it the model guesses."""
    slip: str = ""
    """`type`: the price comes in words. `prose`: no object. `long`: too many words."""


DOG = "A dog costs 4 euros and travels on a lead."
KAYAK = "A kayak costs 9 euros and travels on the car deck."
TICKET = "A ticket from Harbor to Skerry costs 12 euros."
REFUND = "A ticket is refunded until 24 hours before departure."
CASES = [
    Case("What is an hour by ferry in minutes?", "60 minutes", 0),
    Case("Is a child of 2 years charged?", "under 3 it is free", 0),
    Case("Do I need a ticket?", "everybody needs a ticket", 0, slip="prose"),
    Case("What does my dog cost?", "a dog is 4 euros", 4, needs=DOG),
    Case("How does my dog travel?", "on a lead", 4, needs=DOG, slip="type"),
    Case("What does a kayak cost?", "a kayak is 9 euros", 9, needs=KAYAK),
    Case("Where does a kayak travel?", "on the car deck", 9, needs=KAYAK, slip="long"),
    Case("Price from Harbor to Skerry?", "12 euros", 12, needs=TICKET, slip="type"),
    Case("Until when is it refunded?", "24 hours before", 0, needs=REFUND),
    Case("Seats left on the 9:30?", "31 seats", 12, needs="31 seats left"),
    Case("Seats left at noon?", "2 seats", 12, needs="2 seats left", slip="long"),
    Case("Is there a piano on board?", "no piano", 0, needs="a page on pianos"),
]

# %% [markdown]
# The scripted model. It writes JSON once the prompt has shown it some, and gets right
# what the prompt tells it, apart from the slips of the plan.

# %%
POLITE = "Thank you for asking! We are glad to tell you that the answer is: "
GUESS = Case("", "probably 7 euros", 7)


def clerk(request: ScriptedRequest) -> Any:
    """Answer, or mend an answer, by the plan."""
    prompt_text = request.prompt_text
    if request.user_text.startswith("<<"):
        # Another look at an answer, of which the model sees no more than that.
        given = next((c for c in CASES if c.text in prompt_text), GUESS)
        mended = {"text": given.text, "euros": given.euros}
        return {"/text": given.text} if "make it shorter" in prompt_text else mended
    case = next(case for case in CASES if case.question == request.user_text)
    known = case if case.needs in prompt_text else GUESS
    if case.slip == "prose" or '"euros"' not in prompt_text:
        return f"It is {known.text}, that is {known.euros:g} euros."
    text = POLITE + known.text if case.slip == "long" else known.text
    price = f"about {known.euros:g}" if case.slip == "type" else known.euros
    return json.dumps({"text": text, "euros": price})


model = ScriptedChatModel(respond=clerk, model="ferry")
PRICES = {"ferry": (0.15, 0.60)}

# %% [markdown]
# ## 1. A plain prompt
#
# The prompt has places for what comes later; what is not there is left out.

# %%
prompt = ChatPromptTemplate(
    [
        ("system", "You answer at the desk of Northwater Ferries."),
        MessagesPlaceholder("examples", optional=True),
        MessagesPlaceholder("pages", optional=True),
        ("human", "{question}"),
        MessagesPlaceholder("found", optional=True),
    ]
)
plain: Runnable[Any, Any] = prompt | model
print(plain.invoke({"question": "What does my dog cost?"}).text)

# %% [markdown]
# ## 2. Few-shot: show it
#
# Two examples say what the answer looks like better than a page of instructions does.

# %%
EXAMPLES = [
    HumanMessage("How long is the crossing?"),
    AIMessage('{"text": "an hour and ten minutes", "euros": 0}'),
    HumanMessage("What does coffee cost?"),
    AIMessage('{"text": "coffee is 2 euros", "euros": 2}'),
]
few_shot = RunnablePassthrough.assign(examples=lambda _: EXAMPLES) | plain
print(few_shot.invoke({"question": "What does my dog cost?"}).text)

# %% [markdown]
# ## 3. External data: tell it
#
# The form is right now, and the price is made up. What the model cannot know is
# searched for and put into the prompt. `CompressingRetriever` goes around the retriever
# once the pages are longer than these.

# %%
embeddings = LexicalEmbeddings()
store = InMemoryVectorStore(embeddings)
store.add_documents([Document(line) for line in (DOG, KAYAK, TICKET, REFUND)])


def as_message(found: list[Document]) -> list[BaseMessage]:
    """Put pages into a message."""
    lines = [document.page_content for document in found]
    return [SystemMessage("\n".join(["From our handbook:", *lines]))]


search = store.as_retriever(search_kwargs={"k": 2})
handbook = itemgetter("question") | search | as_message
informed = RunnablePassthrough.assign(pages=handbook) | few_shot
print(informed.invoke({"question": "What does my dog cost?"}).text)

# %% [markdown]
# ## 4. A typed answer: ask again where it is none
#
# An object, or one error that tells the whole story. Where the answer is one already,
# no call is made.

# %%
print(informed.invoke({"question": "How does my dog travel?"}).text)
typed = informed | StructuredRetryParser(Answer, ladder=[model])
print(repr(typed.invoke({"question": "How does my dog travel?"})))

# %% [markdown]
# ## 5. Tool choice: look it up where it changes by the minute
#
# The router compares the question with what each tool is for. One tool is near and the
# other is not: no model is asked which to use, nor for its only argument.


# %%
@tool
def seats(sailing: str) -> str:
    """Seats left on a sailing."""
    return "2 seats left" if "noon" in sailing else "31 seats left"


router = ToolRouter(
    [seats, Route("handbook", "Prices, dogs, kayaks and rules.")],
    embeddings,
    examples={"seats": ["Seats left on the 8:15?", "Seats left at nine?"]},
)


def look_up(given: dict[str, Any], config: RunnableConfig) -> list[BaseMessage]:
    """Run the tool that is clearly right, if one is."""
    return list(router.call(given["question"], config).messages)


looked_up = RunnablePassthrough.assign(found=RunnableLambda(look_up)) | typed
print(repr(looked_up.invoke({"question": "Seats left on the 9:30?"})))

# %% [markdown]
# ## 6. Refinement: check, and have mended what fails
#
# A check in code says which field is wrong; that field alone is asked for again. What
# passes costs nothing.


# %%
def fits_the_screen(answer: Answer) -> dict[str, str]:
    """Check the length of the text."""
    return {} if len(answer.text) <= 60 else {"text": "make it shorter, 60 at most"}


refined = looked_up | RefineChain(reviser=model, critics=[fits_the_screen])
print(repr(looked_up.invoke({"question": "Seats left at noon?"})))
print(repr(refined.invoke({"question": "Seats left at noon?"})))

# %% [markdown]
# ## 7. The table
#
# Each step on all twelve questions. *Known*: the right words are in it. *Usable*: it is
# an object with the right price. *Fits*: it is both, and fits the screen.


# %%
def read(output: Any) -> Answer | None:
    """Return the object that a program would get."""
    if isinstance(output, Answer):
        return output
    try:
        return Answer.model_validate_json(output.text)
    except ValidationError:
        return None


def bought(outputs: list[Any]) -> tuple[int, int, int]:
    """Count the answers that are known, usable and fit."""
    known = usable = fits = 0
    for case, output in zip(CASES, outputs, strict=True):
        answer = read(output)
        is_known = case.text in output.text
        is_usable = is_known and answer is not None and answer.euros == case.euros
        known += is_known
        usable += is_usable
        fits += is_usable and answer is not None and not fits_the_screen(answer)
    return known, usable, fits


STEPS = {
    "plain prompt": plain,
    "+ few-shot": few_shot,
    "+ external data": informed,
    "+ typed answer": typed,
    "+ tool choice": looked_up,
    "+ refinement": refined,
}
# True prints the seconds of this machine, which no two pages have in common.
SHOW_SECONDS = False


def row(name: str, spent: LedgerSummary, gained: tuple[int, int, int]) -> str:
    """Write a line of the table."""
    seconds = f"{spent.seconds:.2f}" if SHOW_SECONDS else "-.--"
    cost = f"{spent.calls:>6}{spent.input_tokens:>7}{spent.output_tokens:>5}"
    usd = (spent.usd or 0) / len(CASES) * 1000
    counts = "".join(f"{count:>7}" for count in gained)
    return f"{name:<16}{cost}{seconds:>9}{usd:>9.3f}{counts}"


print(f"{'':<16} calls     in  out  seconds usd/1000  known usable   fits")
for name, chain in STEPS.items():
    with track(prices=PRICES) as ledger:
        outputs = [chain.invoke({"question": case.question}) for case in CASES]
    print(row(name, ledger.summary(), bought(outputs)))

# %% [markdown]
# Read it from the right: a step is worth its line where the count that you care about
# grows. External data bought most here, for tokens and no call. The typed answer cost a
# call for each of three slips, refinement one for each of two long texts, and the
# router none. One question stays wrong: no page speaks of pianos, and no pattern makes
# a model know what nobody has written down.
#
# What each pattern spent, from the same ledger:

# %%
for pattern, used in sorted(ledger.summary().by_pattern.items()):
    print(f"{pattern:<11} {used.decisions:>2} decisions, {used.calls:>2} calls")
