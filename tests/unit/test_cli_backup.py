"""`mlinfn backup`: what is refused before anything starts, and how it is started."""

import pytest
from ruamel.yaml import YAML
from support.places import CHECKOUT

from jupyterhub_mlinfn.cli import backup, backup_container
from jupyterhub_mlinfn.errors import UserError


@pytest.mark.parametrize("text", ["10", "0%", "101%", "ten%", "-1%", "1e1%"])
def test_a_share_that_is_none_is_no_damage(text):
    assert [backup.share(each) for each in ("10%", "0.5%", "100%")] == ["10%", "0.5%", "100%"]
    with pytest.raises(UserError, match="such as 10%"):
        backup.share(text)


def test_work_by_hand_lets_others_go_first_as_the_service_does():
    service = YAML(typ="safe").load(CHECKOUT / "compose/compose.yaml")["services"]["backup"]
    asked = backup_container._asked("run", ["s3:x"])
    assert asked == [*service["command"], "run", "--target", "s3:x"]
    assert backup_container._asked("everything", [])[0] == "python3"
