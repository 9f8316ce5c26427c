from __future__ import annotations

import pytest

from trioetcd.config import ConfigError
from trioetcd.config.flags import FLAGS, IGNORED, LATER, Standing
from trioetcd.config.sources import gather
from trioetcd.config.values import check


def test_without_anything_every_served_flag_has_its_default() -> None:
    settings = gather({}, {})
    assert settings.given() == {}
    assert settings.warnings == ()
    assert settings.text("heartbeat-interval") == "100"
    assert set(settings.values) == {name for name, flag in FLAGS.items() if flag.standing is Standing.SERVED}


def test_every_default_is_a_value_that_its_flag_takes() -> None:
    for flag in FLAGS.values():
        if flag.standing is Standing.SERVED:
            check(flag, flag.default)


def test_no_flag_is_in_two_rows() -> None:
    served = sum(flag.standing is Standing.SERVED for flag in FLAGS.values())
    assert len(FLAGS) == served + len(LATER) + len(IGNORED)


def test_the_environment_is_read_under_both_prefixes() -> None:
    settings = gather({}, {"ETCD_NAME": "a", "TRIOETCD_SNAPSHOT_COUNT": "7", "PATH": "/", "ETCDCTL_USER": "x"})
    assert settings.given() == {"name": "a", "snapshot-count": "7"}
    assert settings.warnings == ()


def test_ours_wins_over_etcds_and_the_flag_over_both_with_a_warning() -> None:
    settings = gather({"name": "flag"}, {"ETCD_NAME": "a", "TRIOETCD_NAME": "b"})
    assert settings.values["name"] == ("flag", "--name")
    assert settings.warnings == ("TRIOETCD_NAME=b wins over ETCD_NAME=a", "--name=flag wins over TRIOETCD_NAME=b")


def test_the_same_value_twice_is_no_conflict() -> None:
    assert gather({"name": "a"}, {"ETCD_NAME": "a"}).warnings == ()


def test_an_empty_variable_counts_as_none() -> None:
    assert gather({}, {"ETCD_NAME": ""}).given() == {}


def test_an_unknown_variable_is_a_warning() -> None:
    settings = gather({}, {"ETCD_NMAE": "a"})
    assert settings.warnings == ("the environment variable ETCD_NMAE is not one of a flag and has no effect",)


def test_a_variable_with_a_bad_value_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="ETCD_HEARTBEAT_INTERVAL: 'x' is not a whole number"):
        gather({}, {"ETCD_HEARTBEAT_INTERVAL": "x"})


@pytest.mark.parametrize("name", [name for name, _ in LATER])
def test_what_this_version_does_not_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--{name}=something: etcd has the flag --{name}, this version does not"):
        gather({name: "something"}, {})


@pytest.mark.parametrize(("name", "default"), LATER)
def test_but_not_when_it_is_told_to_stay_as_it_is(name: str, default: str) -> None:
    assert gather({name: default}, {}).warnings == ()


def test_a_variable_of_such_a_flag_is_refused_too() -> None:
    with pytest.raises(ConfigError, match="ETCD_CERT_FILE=c: etcd has the flag --cert-file"):
        gather({}, {"ETCD_CERT_FILE": "c"})


@pytest.mark.parametrize("name", IGNORED)
def test_what_changes_nothing_is_a_warning(name: str) -> None:
    (warning,) = gather({name: "true"}, {}).warnings
    assert warning == f"--{name} is a flag of etcd's that has no effect here"
