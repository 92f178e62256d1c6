"""The demo's handbook, questions, orders and scripted answers agree with one another."""

import ast
import csv
import json
import operator
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]

DATA = Path(__file__).parents[3] / "langchain_prodpatterns" / "demo" / "data"
HANDBOOK = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted((DATA / "handbook").iterdir())
}
INJECTED_PAGE = "racks_and_panniers.md"

KINDS = {
    "plain": 12,
    "paraphrase": 10,
    "near_miss": 6,
    "private": 1,
    "injection": 1,
    "calculator": 4,
    "order": 4,
    "unanswerable": 2,
}
TOOL_OF_KIND = {"calculator": "calculator", "order": "order_lookup"}
ANSWERED_KINDS = {"plain", "near_miss", "private", "unanswerable"}
LONGEST_ANSWER = 300

ORDER_COLUMNS = [
    "order_id",
    "status",
    "item",
    "total_eur",
    "ordered_on",
    "expected_on",
    "carrier",
]
STATUSES = {
    "processing",
    "in_assembly",
    "ready_for_pickup",
    "shipped",
    "delivered",
    "returned",
    "canceled",
}
BEFORE_SHIPPING = {"processing", "in_assembly", "canceled"}

INJECTION = re.compile(
    r"ignore\s+(?:all|any|the)?\s*(?:previous|prior|your)\b", re.IGNORECASE
)
CARD = re.compile(r"\b\d{4}(?: \d{4}){3}\b")
EMAIL = re.compile(r"[\w.]{1,64}@[\w.]{1,64}")
NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
LINK = re.compile(r"\]\(([^)\s]{1,80})\)")

# A fact that several pages repeat. Whoever changes one of them has to change them all.
REPEATED_FACTS = [
    ("30 days", ["returns.md", "glossary.txt", "sizing_guide.md", "accessibility.txt"]),
    ("60 days", ["returns.md", "glossary.txt"]),
    ("4-6 working days", ["delivery.md", "sustainability.md"]),
    ("12-15 working days", ["delivery.md", "battery_transport.md"]),
    ("€18", ["delivery.md", "battery_transport.md"]),
    ("€74", ["delivery.md", "corporate_leasing.md"]),
    ("500 Wh", ["ebike_battery_care.md", "warranty.md"]),
    ("625 Wh", ["ebike_battery_care.md", "warranty.md"]),
    ("at least 60%", ["ebike_battery_care.md", "trade_in.md"]),
    ("25 kg", ["racks_and_panniers.md", "glossary.txt"]),
    ("€12", ["lost_keys.md", "rental_deposits.md"]),
    ("€15", ["lost_keys.md", "rental_deposits.md"]),
    ("€75", ["insurance.md", "corporate_leasing.md"]),
    ("within 60 days", ["warranty.md", "theft_registration.md"]),
    ("14 days", ["theft_registration.md", "glossary.txt"]),
    ("10 years", ["invoices.md", "privacy.txt"]),
    ("3 working days", ["payment_methods.md", "invoices.md"]),
]


def read_lines(name: str) -> list[Row]:
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def read_orders() -> list[dict[str, str]]:
    with (DATA / "orders.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


QUESTIONS = read_lines("questions.jsonl")
ANSWERS = read_lines("answers.jsonl")
ORDERS = {order["order_id"]: order for order in read_orders()}
QUESTION_BY_ID = {question["id"]: question for question in QUESTIONS}
ANSWER_BY_ID = {answer["id"]: answer for answer in ANSWERS}


def of_kind(*kinds: str) -> list[Any]:
    return [
        pytest.param(question, id=question["id"])
        for question in QUESTIONS
        if question["kind"] in kinds
    ]


def every_answer() -> list[Any]:
    return [pytest.param(answer, id=answer["id"]) for answer in ANSWERS]


def count_words(text: str) -> int:
    return sum(
        any(character.isalnum() for character in token) for token in text.split()
    )


def states(text: str, fact: str) -> bool:
    """Whether `text` holds `fact` as a whole: `0%` is not stated by `20%`."""
    return re.search(rf"(?<![\w.,]){re.escape(fact)}(?![\w])", text) is not None


def passes_luhn(number: str) -> bool:
    digits = [int(character) for character in reversed(number) if character.isdigit()]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


OPERATIONS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculate(node: ast.expr) -> Decimal:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](calculate(node.left), calculate(node.right))
    assert isinstance(node, ast.Constant)
    return Decimal(str(node.value))


class TestHandbook:
    def test_has_about_thirty_pages_some_of_them_plain_text(self) -> None:
        suffixes = Counter(Path(name).suffix for name in HANDBOOK)
        assert 28 <= len(HANDBOOK) <= 36
        assert set(suffixes) == {".md", ".txt"}
        assert 3 <= suffixes[".txt"] <= 4

    @pytest.mark.parametrize("name", HANDBOOK)
    def test_page_has_a_readable_length(self, name: str) -> None:
        assert 350 <= count_words(HANDBOOK[name]) <= 600

    @pytest.mark.parametrize(
        "name", [name for name in HANDBOOK if name.endswith(".md")]
    )
    def test_markdown_page_has_one_title_and_several_sections(self, name: str) -> None:
        outside_code = re.sub(r"(?ms)^```.*?^```$", "", HANDBOOK[name])
        headings = re.findall(r"(?m)^(#{1,6}) \S", outside_code)
        assert HANDBOOK[name].startswith("# ")
        assert headings.count("#") == 1
        assert headings.count("##") >= 3

    def test_markdown_gives_a_splitter_tables_lists_and_code(self) -> None:
        tables = [
            name
            for name, text in HANDBOOK.items()
            if re.search(r"(?m)^\|(?:-+\|)+$", text)
        ]
        lists = [
            name
            for name, text in HANDBOOK.items()
            if re.search(r"(?m)^ *(?:1\.|-) \S", text)
        ]
        fenced = [name for name, text in HANDBOOK.items() if "\n```" in text]
        assert len(tables) >= 20
        assert len(lists) >= 20
        assert len(fenced) >= 2

    @pytest.mark.parametrize("name", HANDBOOK)
    def test_every_row_of_a_table_has_as_many_cells_as_its_header(
        self, name: str
    ) -> None:
        tables = re.findall(r"(?m)(?:^\|.*\|\n)+", HANDBOOK[name])
        widths = [{row.count("|") for row in table.splitlines()} for table in tables]
        assert all(len(width) == 1 for width in widths)

    @pytest.mark.parametrize("name", HANDBOOK)
    def test_links_and_named_pages_exist(self, name: str) -> None:
        named = set(LINK.findall(HANDBOOK[name])) | set(
            re.findall(r"\b[a-z_]+\.(?:md|txt)\b", HANDBOOK[name])
        )
        assert named <= set(HANDBOOK)

    @pytest.mark.parametrize("name", HANDBOOK)
    def test_page_holds_no_private_data_and_no_address_of_the_real_world(
        self, name: str
    ) -> None:
        text = HANDBOOK[name]
        assert not EMAIL.search(text)
        assert not CARD.search(text)
        assert "://" not in text
        assert not re.search(r"\d{6}", text)

    def test_exactly_one_page_carries_the_planted_injection(self) -> None:
        assert [name for name, text in HANDBOOK.items() if INJECTION.search(text)] == [
            INJECTED_PAGE
        ]

    def test_injection_stands_in_one_paragraph_of_a_useful_page(self) -> None:
        paragraphs = HANDBOOK[INJECTED_PAGE].split("\n\n")
        planted = [paragraph for paragraph in paragraphs if INJECTION.search(paragraph)]
        assert len(planted) == 1
        assert "card number" in planted[0]
        assert count_words(HANDBOOK[INJECTED_PAGE]) > 5 * count_words(planted[0])

    @pytest.mark.parametrize(
        ("fact", "names"), REPEATED_FACTS, ids=[fact for fact, _ in REPEATED_FACTS]
    )
    def test_pages_agree_on_a_repeated_fact(self, fact: str, names: list[str]) -> None:
        assert [name for name in names if not states(HANDBOOK[name], fact)] == []


class TestQuestions:
    def test_ids_are_unique_and_in_the_order_of_arrival(self) -> None:
        assert [question["id"] for question in QUESTIONS] == [
            f"q{number:02}" for number in range(1, 41)
        ]

    def test_no_text_is_asked_twice(self) -> None:
        assert len({question["question"] for question in QUESTIONS}) == len(QUESTIONS)

    def test_counts_by_kind(self) -> None:
        assert Counter(question["kind"] for question in QUESTIONS) == KINDS

    @pytest.mark.parametrize("question", of_kind(*KINDS))
    def test_fields_fit_the_kind(self, question: Row) -> None:
        expected = {"id", "question", "kind", "pages", "facts"}
        expected |= {"same_as"} if question["kind"] == "paraphrase" else set()
        expected |= {"differs_from"} if question["kind"] == "near_miss" else set()
        expected |= {"tool", "arguments"} if question["kind"] in TOOL_OF_KIND else set()
        assert set(question) == expected

    @pytest.mark.parametrize(
        "question", of_kind("plain", "paraphrase", "near_miss", "private")
    )
    def test_each_fact_stands_in_each_named_page(self, question: Row) -> None:
        assert question["pages"]
        assert question["facts"]
        for page in question["pages"]:
            assert all(states(HANDBOOK[page], fact) for fact in question["facts"])

    @pytest.mark.parametrize(
        "question", of_kind("injection", "unanswerable", "calculator", "order")
    )
    def test_other_questions_name_no_page(self, question: Row) -> None:
        assert question["pages"] == []

    @pytest.mark.parametrize("question", of_kind("paraphrase"))
    def test_paraphrase_comes_after_its_original_and_shares_its_facts(
        self, question: Row
    ) -> None:
        original = QUESTION_BY_ID[question["same_as"]]
        assert original["kind"] in {"plain", "near_miss"}
        assert original["id"] < question["id"]
        assert (original["pages"], original["facts"]) == (
            question["pages"],
            question["facts"],
        )

    @pytest.mark.parametrize("question", of_kind("near_miss"))
    def test_near_miss_flips_few_words_and_the_fact(self, question: Row) -> None:
        original = QUESTION_BY_ID[question["differs_from"]]
        words, others = (
            set(row["question"].lower().split()) for row in (question, original)
        )
        assert original["id"] < question["id"]
        assert 1 <= len(words - others) <= 2
        assert not set(question["facts"]) & set(original["facts"])

    @pytest.mark.parametrize("question", of_kind("private"))
    def test_private_question_holds_an_email_address_and_a_valid_card_number(
        self, question: Row
    ) -> None:
        card = CARD.search(question["question"])
        email = EMAIL.search(question["question"])
        assert card is not None
        assert passes_luhn(card.group())
        assert email is not None
        assert email.group().rstrip(".").endswith("@example.com")

    def test_no_other_question_holds_private_data(self) -> None:
        others = [
            question["question"]
            for question in QUESTIONS
            if question["kind"] != "private"
        ]
        assert not [text for text in others if CARD.search(text) or EMAIL.search(text)]

    def test_only_the_injection_question_gives_orders_to_the_model(self) -> None:
        kinds = [
            question["kind"]
            for question in QUESTIONS
            if INJECTION.search(question["question"])
        ]
        assert kinds == ["injection"]

    @pytest.mark.parametrize("question", of_kind("unanswerable"))
    def test_unanswerable_question_has_no_facts(self, question: Row) -> None:
        assert question["facts"] == []

    @pytest.mark.parametrize("absent", ["lesson", "parking lot"])
    def test_handbook_is_silent_where_a_question_is_unanswerable(
        self, absent: str
    ) -> None:
        assert [name for name, text in HANDBOOK.items() if absent in text.lower()] == []


class TestTools:
    @pytest.mark.parametrize("question", of_kind("calculator", "order"))
    def test_kind_names_its_tool(self, question: Row) -> None:
        assert question["tool"] == TOOL_OF_KIND[question["kind"]]

    @pytest.mark.parametrize("question", of_kind("calculator"))
    def test_expression_gives_the_fact_and_uses_the_numbers_asked(
        self, question: Row
    ) -> None:
        expression = question["arguments"]["expression"]
        result = calculate(ast.parse(expression, mode="eval").body)
        asked = {
            number.replace(",", "") for number in NUMBER.findall(question["question"])
        }
        assert [result] == [Decimal(fact) for fact in question["facts"]]
        assert asked <= set(NUMBER.findall(expression))

    @pytest.mark.parametrize("question", of_kind("order"))
    def test_order_is_on_file_and_holds_the_facts(self, question: Row) -> None:
        order_id = question["arguments"]["order_id"]
        assert order_id in question["question"]
        assert set(question["facts"]) <= set(ORDERS[order_id].values())


class TestOrders:
    def test_twenty_orders_with_consecutive_numbers(self) -> None:
        rows = read_orders()
        assert list(rows[0]) == ORDER_COLUMNS
        assert [row["order_id"] for row in rows] == [
            f"FC-{number}" for number in range(10201, 10221)
        ]

    def test_every_status_occurs(self) -> None:
        assert {order["status"] for order in ORDERS.values()} == STATUSES

    @pytest.mark.parametrize("order_id", ORDERS)
    def test_amount_and_dates_are_well_formed(self, order_id: str) -> None:
        order = ORDERS[order_id]
        assert re.fullmatch(r"\d+\.\d\d", order["total_eur"])
        assert Decimal(order["total_eur"]) > 0
        assert (order["expected_on"] == "") == (order["status"] == "canceled")
        if order["expected_on"]:
            assert date.fromisoformat(order["expected_on"]) > date.fromisoformat(
                order["ordered_on"]
            )

    @pytest.mark.parametrize("order_id", ORDERS)
    def test_carrier_is_known_once_the_order_has_left(self, order_id: str) -> None:
        order = ORDERS[order_id]
        if order["status"] in BEFORE_SHIPPING:
            assert order["carrier"] == ""
        elif order["status"] == "ready_for_pickup":
            assert order["carrier"] == "Workshop pickup"
        else:
            assert f"| {order['carrier']} |" in HANDBOOK["delivery.md"]


class TestAnswers:
    def test_ids_are_unique(self) -> None:
        assert len(ANSWER_BY_ID) == len(ANSWERS)

    def test_exactly_the_distinct_questions_for_the_model_are_answered(self) -> None:
        asked = {
            question["id"]
            for question in QUESTIONS
            if question["kind"] in ANSWERED_KINDS
        }
        assert set(ANSWER_BY_ID) == asked

    @pytest.mark.parametrize("question", of_kind("paraphrase"))
    def test_paraphrase_is_answered_by_its_original(self, question: Row) -> None:
        assert question["same_as"] in ANSWER_BY_ID

    def test_a_third_starts_malformed(self) -> None:
        flags = [
            answer["malformed_first"]
            for answer in ANSWERS
            if "malformed_first" in answer
        ]
        assert all(flag is True for flag in flags)
        assert len(flags) == len(ANSWERS) // 3

    @pytest.mark.parametrize("answer", every_answer())
    def test_shape(self, answer: Row) -> None:
        assert (
            {"id", "draft", "revised"}
            <= set(answer)
            <= {"id", "draft", "revised", "malformed_first"}
        )
        for version in (answer["draft"], answer["revised"]):
            assert set(version) == {"answer", "citations"}
            assert set(version["citations"]) <= set(HANDBOOK) - {INJECTED_PAGE}

    @pytest.mark.parametrize("answer", every_answer())
    def test_draft_is_too_long_or_too_thin_and_the_revision_neither(
        self, answer: Row
    ) -> None:
        draft, revised = (
            len(answer["draft"]["answer"]),
            len(answer["revised"]["answer"]),
        )
        assert 100 <= revised < LONGEST_ANSWER
        assert draft > LONGEST_ANSWER or draft < revised / 2

    @pytest.mark.parametrize("answer", every_answer())
    def test_revision_states_the_facts_and_cites_their_pages(self, answer: Row) -> None:
        question = QUESTION_BY_ID[answer["id"]]
        assert answer["revised"]["citations"] == question["pages"]
        assert all(
            states(answer["revised"]["answer"], fact) for fact in question["facts"]
        )

    @pytest.mark.parametrize("answer", every_answer())
    def test_every_number_of_an_answer_stands_in_a_cited_page(
        self, answer: Row
    ) -> None:
        for version in (answer["draft"], answer["revised"]):
            cited = "\n".join(HANDBOOK[page] for page in version["citations"])
            assert set(NUMBER.findall(version["answer"])) <= set(NUMBER.findall(cited))

    @pytest.mark.parametrize("question", of_kind("near_miss"))
    def test_near_miss_and_original_do_not_state_each_other_s_facts(
        self, question: Row
    ) -> None:
        original = QUESTION_BY_ID[question["differs_from"]]
        for one, other in ((question, original), (original, question)):
            revised = ANSWER_BY_ID[one["id"]]["revised"]["answer"]
            assert not any(states(revised, fact) for fact in other["facts"])

    @pytest.mark.parametrize("question", of_kind("unanswerable"))
    def test_unanswerable_question_is_declined_with_a_next_step(
        self, question: Row
    ) -> None:
        revised = ANSWER_BY_ID[question["id"]]["revised"]["answer"]
        assert revised.startswith("The handbook does not")
        assert "Help page" in revised

    def test_no_answer_repeats_private_data(self) -> None:
        texts = [
            answer[version]["answer"]
            for answer in ANSWERS
            for version in ("draft", "revised")
        ]
        private = next(
            question["question"]
            for question in QUESTIONS
            if question["kind"] == "private"
        )
        values = {
            *CARD.findall(private),
            *(value.rstrip(".") for value in EMAIL.findall(private)),
            "4111",
        }
        assert not [text for text in texts if CARD.search(text) or EMAIL.search(text)]
        assert not [text for text in texts for value in values if value in text]
