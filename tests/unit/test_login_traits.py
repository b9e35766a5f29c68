"""How people log in, from the settings to JupyterHub's traits; and where the demo refuses to be used."""

import socket

import pytest
from traitlets.config import Config

from jupyterhub_mlinfn import login
from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.iam import IAMAuthenticator
from jupyterhub_mlinfn.settings import Settings
from jupyterhub_mlinfn.settings_tls import TLS

IAM = {"issuer": "https://iam.example.org", "allowed_groups": ["/ml-infn"], "admin_groups": ["ml-infn/keepers"],
       "owner_subject": "ab-12", "refresh": "2m"}  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    """Call it with settings for those of a root folder in which all secrets are."""

    def make(**values):
        folder = tmp_path / "secrets/hub"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("crypt_key", "demo_client_secret", *(() if values.pop("bare", False) else CLIENT)):
            (folder / name).write_text(f"{name} value\n")
        return Settings(root=tmp_path, port=18440, **values)

    return make


CLIENT = ("iam_client_id", "iam_client_secret")


def configured(settings):
    c = Config()
    login.configure(c, settings)
    return c


def test_local_people_need_no_identity_service(settings):
    c = configured(settings())
    assert c.JupyterHub.authenticator_class == "mlinfn-local"
    assert "IAMAuthenticator" not in c
    assert login.issuer(settings()) == ""


@pytest.mark.parametrize(("login", "authenticator"), [("local", "LocalAuthenticator"), ("demo", "IAMAuthenticator")])
def test_accounts_of_rooms_are_nobody_and_names_of_rooms_nobodys(settings, login, authenticator):
    c = configured(settings(login=login, groups=["cms"], rooms=[{"name": "muons", "group": "cms"}]))
    assert c[authenticator].without_identity == {"room-muons"}
    assert c.Authenticator.blocked_users == {"muons"}


def test_iam_gets_its_rules_and_its_client_from_files(settings):
    here = settings(login="iam", iam=IAM)
    c = configured(here)
    ours = c.IAMAuthenticator
    assert c.JupyterHub.authenticator_class == "indigo-iam"
    assert c.CryptKeeper["keys"] == ["crypt_key value"]
    folder = here.root / "secrets/hub"
    assert (ours.client_id_file, ours.client_secret_file) == tuple(str(folder / name) for name in CLIENT)
    assert login.client(here) == ("iam_client_id value", "iam_client_secret value")
    assert (ours.allowed_groups, ours.admin_groups) == ({"ml-infn"}, {"ml-infn/keepers"})
    assert (ours.issuer, ours.owner_subject) == ("https://iam.example.org", "ab-12")
    assert ours.oauth_callback_url == "http://localhost:18440/hub/oauth_callback"
    assert ours.refresh_s == 120
    assert "extra_routes" not in c.ConfigurableHTTPProxy


def test_iam_without_a_client_is_told_how_to_give_one(settings):
    with pytest.raises(OperatorError, match=r"localhost:18440/hub/oauth_callback.*mlinfn iam client"):
        configured(settings(login="iam", iam=IAM, bare=True))


@pytest.mark.parametrize(("subdomains", "route"), [(True, "localhost/demo-iam/"), (False, "/demo-iam/")])
def test_the_demo_is_reached_through_the_public_port(settings, subdomains, route):
    c = configured(settings(login="demo", subdomains=subdomains, bare=True))
    assert c.ConfigurableHTTPProxy.extra_routes == {route: "http://127.0.0.1:18444"}
    assert c.IAMAuthenticator.issuer == "http://localhost:18440/demo-iam"
    assert c.IAMAuthenticator.client_id == "mlinfn"
    assert (c.IAMAuthenticator.allowed_groups, c.IAMAuthenticator.admin_groups) == ({"demo"}, {"demo/keepers"})


def test_what_is_set_exists(settings):
    for values in ({"login": "iam", "iam": IAM}, {"login": "demo"}):
        c = configured(settings(**values))
        ours = IAMAuthenticator(config=c)
        assert set(c.IAMAuthenticator) <= set(ours.trait_names(config=True))
        assert ours.enable_auth_state is ours.auth_refresh_strict is ours.manage_groups is True


def test_the_demo_is_refused_beside_a_configured_iam(settings):
    with pytest.raises(OperatorError, match="one or the other"):
        login.check(settings(login="demo", iam=IAM))
    login.check(settings(login="iam", iam=IAM))


def test_an_issuer_without_a_client_is_no_configured_iam(settings):
    login.check(settings(login="demo", iam=IAM, bare=True))


@pytest.mark.parametrize(("family", "address", "shown"), [
    (socket.AF_INET, "0.0.0.0", "0.0.0.0:{port}"),
    (socket.AF_INET6, "::", "[::]:{port}"),
    (socket.AF_INET, "127.0.0.1", None),
    (socket.AF_INET, "127.3.2.1", None),
    (socket.AF_INET6, "::1", None),
    (socket.AF_INET6, "::ffff:127.0.0.1", None),
], ids=str)  # fmt: skip
def test_what_listens_for_others_on_the_public_port_is_found(settings, family, address, shown):
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        here = settings(login="demo", bare=True).model_copy(update={"port": port})
        assert login.open_addresses(port) == ([shown.format(port=port)] if shown else [])
        if shown:
            with pytest.raises(OperatorError, match="for this machine alone"):
                login.check(here)
            login.check(here.model_copy(update={"login": "local", "tls": TLS(plain_http="accepted")}))
        else:
            login.check(here)
