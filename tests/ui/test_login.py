"""The way into the dashboard: a key typed by the user, kept for their session alone."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from tests.ui.conftest import OpenPage
from tests.ui.fake_api import FakeApi

ANN, BOB = "claimsight_ann", "claimsight_bob"


def lock(api: FakeApi) -> None:
    api.people = {
        f"Bearer {ANN}": {"tenant": "default", "role": "admin", "name": "Ann Meyer"},
        f"Bearer {BOB}": {"tenant": "default", "role": "viewer", "name": "Bob"},
    }


def type_key(test: AppTest, key: str) -> AppTest:
    [field] = [given for given in test.text_input if given.label == "Your key"]
    field.set_value(key)
    [enter] = [button for button in test.button if button.label == "Enter"]
    return enter.click().run()


def labels(test: AppTest) -> set[str]:
    return {button.label for button in test.button}


def asks_for_a_key(test: AppTest) -> bool:
    return "Your key" in {given.label for given in test.text_input}


def test_without_keys_nobody_is_asked(open_page: OpenPage) -> None:
    test = open_page()
    assert not asks_for_a_key(test)
    assert "Describe the damage, or what the paper says" in {given.label for given in test.text_input}
    assert "Log out" not in labels(test)


def test_a_key_opens_the_page_that_was_asked_for(api: FakeApi, open_page: OpenPage) -> None:
    lock(api)
    test = open_page(q="windscreen")
    assert asks_for_a_key(test)
    assert not api.asked
    test = type_key(test, "wrong")
    assert asks_for_a_key(test)
    assert "not one that opens" in test.error[0].value
    test = type_key(test, ANN)
    assert not asks_for_a_key(test)
    assert "Log out" in labels(test)
    assert [question["text"] for _, path, question in api.asked if path == "/v1/search"] == ["windscreen"]
    assert ANN not in str(dict(test.query_params))


def test_a_key_that_was_revoked_leads_back_to_the_login(api: FakeApi, open_page: OpenPage) -> None:
    lock(api)
    test = type_key(open_page(), ANN)
    assert not asks_for_a_key(test)
    api.people[f"Bearer {ANN}"] = {"code": "key_revoked"}
    test = test.run()
    assert asks_for_a_key(test)
    assert "revoked" in test.error[0].value


def test_who_logs_out_has_to_type_a_key_again(api: FakeApi, open_page: OpenPage) -> None:
    lock(api)
    test = type_key(open_page(), ANN)
    [leave] = [button for button in test.button if button.label == "Log out"]
    assert asks_for_a_key(leave.click().run())


def test_a_viewer_is_offered_nothing_that_the_role_does_not_allow(api: FakeApi, open_page: OpenPage) -> None:
    lock(api)
    for key, offered in ((ANN, True), (BOB, False)):
        test = type_key(open_page(), key).switch_page("views/claim.py")
        test.query_params["claim"] = next(iter(api.claims))
        shown = labels(test.run())
        assert "View" in shown
        assert [name in shown for name in ("Edit", "Delete")] == [offered, offered]
        assert ("New claim" in labels(test.switch_page("views/claims.py").run())) is offered


def test_what_one_saw_is_not_remembered_for_another(api: FakeApi, open_page: OpenPage) -> None:
    """Facets, searches and pictures are remembered for a while: for each key apart."""
    lock(api)
    first = type_key(open_page(q="windscreen"), ANN)
    type_key(open_page(q="windscreen"), ANN)
    asked = len(api.asked)
    assert asked == 1
    type_key(open_page(q="windscreen"), BOB)
    assert len(api.asked) == 2
    assert not asks_for_a_key(first)
