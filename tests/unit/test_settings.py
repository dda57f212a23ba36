"""Settings: which name has which prefix."""

from streams import topics
from streams.settings import Settings


def settings(**more: str) -> Settings:
    return Settings(bootstrap_servers="127.0.0.1:1", **{"topic_prefix": "shop.", "output_prefix": "", **more})


def test_the_topic_prefix_is_before_everything_of_a_deployment():
    deployment = settings()

    assert {deployment.topic(topic.name) for topic in topics.ALL} == {f"shop.{t.name}" for t in topics.ALL}
    assert deployment.application == "shop.evergreen"
    assert deployment.owns_inputs


def test_with_an_output_prefix_only_the_inputs_keep_the_topic_prefix():
    again = settings(output_prefix="again.")

    assert {t.name for t in topics.ALL if again.topic(t.name).startswith("shop.")} == {
        t.name for t in topics.INPUTS
    }
    assert again.topic("ledger-entries") == "again.ledger-entries"
    assert again.application == "again.evergreen"
    assert not again.owns_inputs


def test_an_output_prefix_equal_to_the_topic_prefix_is_no_second_reading():
    assert settings(output_prefix="shop.").owns_inputs
