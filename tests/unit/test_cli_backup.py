"""`mlinfn backup`: what is refused before anything starts."""

import pytest

from jupyterhub_mlinfn.cli import backup
from jupyterhub_mlinfn.errors import UserError


@pytest.mark.parametrize("text", ["10", "0%", "101%", "ten%", "-1%", "1e1%"])
def test_a_share_that_is_none_is_no_damage(text):
    assert [backup.share(each) for each in ("10%", "0.5%", "100%")] == ["10%", "0.5%", "100%"]
    with pytest.raises(UserError, match="such as 10%"):
        backup.share(text)
