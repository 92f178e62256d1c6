# %% [markdown]
# # Twice the evidence in the same window, every word a quote
#
# A retriever fetches documents, and a question needs sentences. Who cuts the documents
# off where the window ends loses what stands behind; who asks a model to shorten them
# pays a call a document, and may get words that no document holds.
# `CompressingRetriever` scores all sentences of all documents by the question and packs
# the best into the window, word for word, each with its place in the source.
#
# 1. who scored the first goal of the World Cup?
# 2. a question whose evidence is spread over many documents
# 3. from a citation in an answer back to the source
# 4. a judge that chooses, in one call and by number
# 5. when no document answers
# 6. in a conversation
# 7. evidence against size: the plot
# 8. what the ledger says
#
# **Real:** the retrieval, the compression, the offsets, the token counts, the facts in
# the documents. **Scripted:** what the model answers and the judge chooses. The
# embeddings are `LexicalEmbeddings`, which know spelling and no meaning, so that every
# machine prints the same, and tokens are estimated. So the figures are those of these
# few pages: `benchmarks/compression.py` has those of public question sets.
#
# No key, no network, no download: `pip install "langchain-prodpatterns[plots]"`. For
# your own provider, put your models and embeddings in place of those of the next cells.

# %%
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_prodpatterns import CompressingRetriever, ContextCompressor, track
from langchain_prodpatterns.compression import (
    PickRequest,
    find_citations,
    format_citations,
)
from langchain_prodpatterns.testing import (
    LexicalEmbeddings,
    ScriptedChatModel,
    ScriptedRequest,
)
from langchain_prodpatterns.tokens import estimate_tokens

PAGES = {
    "1930 World Cup": """The 1930 World Cup was the first one. Uruguay was chosen as the
host because it celebrated a hundred years of its constitution and had won the Olympic
tournaments of 1924 and 1928. Thirteen teams took part, and only four of them came from
Europe, since the journey by ship took about two weeks. There were no qualifying
matches. All of them were played in Montevideo, in July. On the first day, France met
Mexico in the snow of the southern winter. Lucien Laurent scored the first goal with a
volley in the nineteenth minute. Uruguay beat Argentina 4-2 in the final at the Estadio
Centenario. Each side had brought its own ball, and each was used for one half.""",
    "1934 World Cup": """The 1934 World Cup was held in Italy. It was the first one for
which teams had to qualify, and even the hosts did. Uruguay, the holder, stayed at home,
because so few Europeans had come four years before. The tournament had no groups: who
lost a match went home, and eight of the sixteen teams had traveled for a single one.
Egypt was the first African team to take part. Italy beat Czechoslovakia 2-1 after extra
time in the final at the Stadio Nazionale in Rome. Vittorio Pozzo was the coach of the
winners, and he was to win once more.""",
    "1938 World Cup": """The 1938 World Cup was held in France, the home of Jules Rimet.
Argentina had hoped to be the host and did not come. Austria had qualified, and had no
team any more when the tournament began. Brazil and Poland played a match of eleven
goals in Strasbourg. It was the last tournament for twelve years because of the war. The
final was played at the Stade Olympique in Colombes near Paris, where Italy beat Hungary
4-2. Leonidas of Brazil scored more goals than any other player.""",
    "1950 World Cup": """The 1950 World Cup was held in Brazil. England took part for
the first time and lost to the United States in Belo Horizonte. India withdrew before it
began. Instead of a final there was a group of four, and by chance its last match
decided. Brazil needed a draw in it and lost 1-2 to Uruguay at the Maracana in Rio de
Janeiro. Alcides Ghiggia scored the winning goal eleven minutes before the end. Brazil
gave up its white shirts afterwards and has played in yellow since.""",
    "1954 World Cup": """The 1954 World Cup was held in Switzerland. It was the first
one that was shown on television. Hungary had not lost for four years and beat South
Korea 9-0 and West Germany 8-3 in the group. Austria and Switzerland played a match of
twelve goals in Lausanne, in great heat. West Germany beat Hungary 3-2 in the final at
the Wankdorf Stadium in Bern, after it had been 0-2 behind. Rain had made the pitch
heavy, and the winners wore boots with studs that could be changed.""",
    "1958 World Cup": """The 1958 World Cup was held in Sweden. All four British teams
had qualified, for the only time. Just Fontaine of France scored thirteen goals, which
is still a record for one tournament, in boots that he had borrowed. Pele was seventeen
years old and did not play in the first two matches. Brazil beat Sweden 5-2 in the final
at the Rasunda Stadium in Solna. The hosts had scored first. It was the first time that
a team won on another continent than its own.""",
    "1962 World Cup": """The 1962 World Cup was held in Chile. Two years before, the
strongest earthquake ever measured had struck the country, and four of the cities that
had been chosen could not be used. Pele was injured in the second match. Chile and Italy
fought more than they played in Santiago, and two Italians were sent off. Six players
shared the place of the best scorer, with four goals each. Brazil beat Czechoslovakia
3-1 in the final at the Estadio Nacional in Santiago.""",
    "1966 World Cup": """The 1966 World Cup was held in England. The cup was stolen
before it began, and a dog called Pickles found it in a garden. North Korea beat Italy
and was 3-0 ahead of Portugal in the next round before it lost 3-5. Eusebio scored nine
goals. England beat West Germany 4-2 after extra time in the final at Wembley Stadium in
London. Geoff Hurst scored three times, and whether his second one was behind the line
has been argued about ever since.""",
    "1970 World Cup": """The 1970 World Cup was held in Mexico. It was the first one in
North America, the first one shown in color, and the first one with yellow and red cards
and with substitutes. Many matches began at noon, to suit the viewers in Europe. Italy
beat West Germany 4-3 after extra time in a semi-final. Brazil beat Italy 4-1 in the
final at the Estadio Azteca in Mexico City. It was the third time that Brazil had won,
so it was allowed to keep the cup.""",
    "1974 World Cup": """The 1974 World Cup was held in West Germany. A new cup had to
be made. East Germany took part for the only time, and beat the hosts in Hamburg. It
rained so much in Frankfurt that the fire brigade rolled the water off the pitch before
a match. The Netherlands, with Johan Cruyff, scored in the final before a German had
touched the ball. West Germany won it 2-1 at the Olympiastadion in Munich.""",
    "Lucien Laurent": """Lucien Laurent was born near Paris in 1907. He worked in the
car factory of Peugeot, whose club in Sochaux he played for, and took leave without pay
to go to the tournament of 1930. He traveled on the Conte Verde, a ship on which the
teams trained on deck. A knee injury ended his tournament in the second match. He was
taken prisoner in the Second World War, and found afterwards that his furniture had been
stolen. He lived to see France win the cup in 1998, as the only one of his team.""",
    "Golden goal": """The golden goal was a rule for extra time: who scored the first
goal of it had won. It was used in tournaments from 1993 to 2004. Laurent Blanc scored
the first golden goal of a World Cup, in 1998 against Paraguay. Many thought that it
made teams more careful and not more daring. It was given up after ten years, and the
silver goal with it. Extra time is played to its end again.""",
    "Own goals": """Who puts the ball into his own net scores for the other team. The
first own goal of a World Cup was scored by Manuel Rosas of Mexico, against Chile in
1930. In 2018 there were twelve of them in one tournament, which is a record. In a list
of the best scorers an own goal does not count.""",
    "Fastest goals": """Hakan Sukur scored the fastest goal of a World Cup after eleven
seconds, in the match for the third place of 2002. The first goal of a match changes it:
about seven of ten teams that scored it have won. Bryan Robson needed twenty-seven
seconds in 1982, and Vaclav Masek of Czechoslovakia sixteen in 1962. The clocks of early
tournaments were not that exact.""",
}

WINDOW = 500
embeddings = LexicalEmbeddings()
store = InMemoryVectorStore(embeddings)
store.add_documents(
    [
        Document(" ".join(text.split()), id=title, metadata={"title": title})
        for title, text in PAGES.items()
    ]
)
library = store.as_retriever(search_kwargs={"k": len(PAGES)})


def cut_off(documents: list[Document], window: int = WINDOW) -> str:
    """Return what most chains show a model: the documents, cut off at the window."""
    text = format_citations(documents)
    while estimate_tokens(text) > window:
        text = text[:-1]
    return text


# %% [markdown]
# ## 1. Who scored the first goal of the World Cup?
#
# The best document for this question need not be the one with the answer: golden goals,
# own goals and fast goals share more words with it. First the window as it is without
# compression, the documents in the order of the vector store, cut off at 500 tokens:

# %%
QUESTION = "Who scored the first goal of the World Cup?"
ANSWER = "Lucien Laurent scored the first goal"

retrieved = library.invoke(QUESTION)
before = cut_off(retrieved)
print(f"{estimate_tokens(format_citations(retrieved))} tokens were retrieved")
print([document.metadata["title"] for document in retrieved[:4]])
print("whole documents in the window:", before.count("\n\n["))
print("the answer is in it:", ANSWER in before)

# %% [markdown]
# And with it. The compressor is that of the retriever's own default, apart from the
# token counter, which is set here so that every machine counts alike.

# %%
compressor = ContextCompressor(
    embeddings, token_budget=WINDOW, token_counter=estimate_tokens
)
retriever = CompressingRetriever(library, compressor)
quotes = retriever.invoke(QUESTION)
after = format_citations(quotes)
print(f"{estimate_tokens(after)} tokens from {len(quotes)} documents")
print("the answer is in it:", ANSWER in after)
[answering] = [quote for quote in quotes if ANSWER in quote.page_content]
print(answering.id, answering.metadata["prodpatterns.spans"])
print(answering.page_content)
print([quote.id for quote in quotes])

# %% [markdown]
# The quote is two parts of its page, and the offsets say which. The other pages are
# there as well, with their best sentences instead of their first ones.
#
# ## 2. Evidence that is spread over many documents
#
# Ten stadiums on ten pages, and the same 500 tokens:

# %%
SPREAD = "In which stadium was the final of each World Cup played?"
STADIUMS = {
    *("Estadio Centenario", "Stadio Nazionale", "Stade Olympique", "Maracana"),
    *("Wankdorf Stadium", "Rasunda Stadium", "Estadio Nacional", "Wembley Stadium"),
    *("Estadio Azteca", "Olympiastadion"),
}


def stadiums_in(text: str) -> int:
    return sum(stadium in text for stadium in STADIUMS)


before = cut_off(library.invoke(SPREAD))
after = format_citations(retriever.invoke(SPREAD))
for name, text in {"cut off": before, "compressed": after}.items():
    tokens = estimate_tokens(text)
    print(
        f"{name:<11} {tokens} tokens, {stadiums_in(text)} of {len(STADIUMS)} stadiums"
    )

# %% [markdown]
# The two that are missing stand in sentences that do not say "final" at all: words are
# what these embeddings compare. A window has room for them, as section 4 shows.
#
# ## 3. From a citation in an answer back to the source
#
# `format_citations` numbers the quotes, and a model that is shown them cites by number.
# `find_citations` leads each number back to the document and to the characters of the
# source that were quoted, and tells of numbers that the model made up.

# %%
prompt = ChatPromptTemplate.from_template(
    "Answer from these quotes and cite them by number.\n\n{quotes}\n\n{question}"
)


def answer(request: ScriptedRequest) -> str:
    """Cite the quote with the answer, and one that is not there."""
    lines = request.user_text.splitlines()
    at = next(at for at, line in enumerate(lines) if ANSWER in line)
    heading = next(line for line in reversed(lines[:at]) if line.startswith("["))
    number = heading[1 : heading.index("]")]
    return f"Lucien Laurent of France [{number}], against Mexico [{number}][99]."


llm = ScriptedChatModel(respond=answer)
chain = (
    {"quotes": retriever | format_citations, "question": RunnablePassthrough()}
    | prompt
    | llm
    | StrOutputParser()
)
reply = chain.invoke(QUESTION)
print(reply)
for reference in find_citations(reply, quotes):
    if reference.citation is None:
        print(f"[{reference.number}] is made up")
        continue
    document, spans = reference.citation
    [source] = store.get_by_ids([str(document.id)])
    print(f"[{reference.number}] is {document.id}")
    for start, end in spans:
        print(f"    {start:>3}-{end}: {source.page_content[start:end][:60]}")

# %% [markdown]
# ## 4. A judge that chooses
#
# With `judge` a model reads the best passages, four times what may be returned, in one
# call, and answers with their numbers. It writes no text, so it can invent none; a
# number of nothing is dropped and counted. Where it fails, the scores decide.
#
# A function can stand for it, too. This one knows what a stadium is:


# %%
def choose(request: PickRequest) -> list[int]:
    numbered = enumerate(request.passages.texts, 1)
    return [n for n, text in numbered if re.search("Stad|Estadio|Maracana|Olymp", text)]


judged = ContextCompressor(
    embeddings, token_budget=WINDOW, token_counter=estimate_tokens, judge=choose
)
with track() as ledger:
    found = judged.invoke({"question": SPREAD, "documents": library.invoke(SPREAD)})
print(ledger.to_records()[0].reason)
text = format_citations(found)
tokens = estimate_tokens(text)
print(f"{tokens} tokens, {stadiums_in(text)} of {len(STADIUMS)} stadiums")

# %% [markdown]
# ## 5. When no document answers
#
# The best of the scores is always 1, for something is always the best. Whether
# anything answers at all is told by the nearest cosine. What is low depends on the
# embedder: look at questions of your own. `on_empty` says what is done then, `drop`
# returns nothing.

# %%
careful = ContextCompressor(
    embeddings,
    token_budget=WINDOW,
    token_counter=estimate_tokens,
    min_similarity=0.3,
    on_empty="drop",
)
for question in (QUESTION, "How do I renew a library card?"):
    with track() as ledger:
        found = careful.invoke({"question": question, "documents": retrieved})
    print(f"{question} {ledger.to_records()[0].decision}, {len(found)} documents")

# %% [markdown]
# ## 6. In a conversation
#
# The last message of a chat rarely stands alone. `question` is a function or a chain
# from what comes in to a question that does; it is searched for and quoted by. A model
# would write it; here it is a scripted one.

# %%
condense = ScriptedChatModel(replies=["Who won the final of the World Cup of 1954?"])
talk: list[BaseMessage] = [
    HumanMessage("Where was the World Cup of 1954?"),
    AIMessage("In Switzerland."),
    HumanMessage("And who won it?"),
]
chatty = CompressingRetriever(
    library, compressor, question=condense | StrOutputParser(), k=1
)
print(chatty.invoke(talk)[0].page_content)

# %% [markdown]
# ## 7. Evidence against size
#
# The same ten stadiums at every size of the window:

# %%
documents = library.invoke(SPREAD)
whole = estimate_tokens(format_citations(documents))
ratios = [1.5, 2, 3, 4, 6, 8]
curves: dict[str, list[int]] = {"cut off": [], "compressed": []}
for ratio in ratios:
    limit = int(whole / ratio)
    curves["cut off"].append(stadiums_in(cut_off(documents, limit)))
    small = ContextCompressor(
        embeddings, token_budget=limit, token_counter=estimate_tokens
    )
    packed = small.invoke({"question": SPREAD, "documents": documents})
    curves["compressed"].append(stadiums_in(format_citations(packed)))
print("times smaller", *(f"{ratio:>4g}" for ratio in ratios))
for name, points in curves.items():
    print(f"{name:<13}", *(f"{point:>4}" for point in points))

# %%
from matplotlib.figure import Figure

figure = Figure(figsize=(6, 4), layout="constrained")
axes = figure.subplots()
for name, points in curves.items():
    axes.plot(ratios, points, marker="o", label=name)
axes.set(xlabel="times smaller", ylabel=f"stadiums left, of {len(STADIUMS)}")
axes.legend()
folder = TemporaryDirectory()
figure.savefig(Path(folder.name, "compression.png"))
print("drawn:", Path(folder.name, "compression.png").is_file())

# %% [markdown]
# ## 8. What the ledger says
#
# One record a compression, with the tokens that the next prompt does not hold:

# %%
with track() as ledger:
    for question in (QUESTION, SPREAD):
        retriever.invoke(question)
for row in ledger.to_records():
    print(f"{row.decision}: {row.reason}; {row.saved_tokens} tokens saved")

# %%
folder.cleanup()
