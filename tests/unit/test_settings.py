"""mlinfn.yaml as a keeper writes it: what it gives, and what is said about every mistake."""

import pytest

from jupyterhub_mlinfn.errors import OperatorError
from jupyterhub_mlinfn.settings import Settings, bytes_of, config_path, load, seconds_of

IMAGE = "images:\n  - {slug: lab, title: JupyterLab, image: mlinfn/lab}\n"


@pytest.fixture
def refused(tmp_path):
    """The text of the refusal of a mlinfn.yaml, line by line, without the name of the file."""

    def lines(text):
        path = tmp_path / "mlinfn.yaml"
        path.write_text(text)
        with pytest.raises(OperatorError) as error:
            load(path)
        return [line.removeprefix(f"{path}:") for line in str(error.value).splitlines()]

    return lines


def test_five_lines_are_enough(tmp_path):
    path = tmp_path / "mlinfn.yaml"
    path.write_text(IMAGE)
    settings = load(path)
    assert settings.images[0].slug == "lab"
    assert settings == Settings(images=settings.images)


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1


def test_numbers_are_keys_where_people_choose_among_them(tmp_path):
    path = tmp_path / "mlinfn.yaml"
    path.write_text(IMAGE + "sizes: {cpus: [1, 2, 0.5]}\n")
    assert load(path).sizes.cpus == ("1", "2", "0.5")


def test_sizes_and_durations_count_as_people_expect():
    assert (bytes_of("8G"), bytes_of("512M")) == (8 * 2**30, 512 * 2**20)
    assert (seconds_of("30m"), seconds_of("7d")) == (1800, 7 * 86400)


def test_all_mistakes_are_said_at_once_with_their_lines(refused):
    text = ("port: 80\n"
            "culing: {idle: 2h}\n"
            "images:\n"
            "  - slug: lab\n"
            "    title: One\n"
            "    image: mlinfn/lab\n"
            "    memroy: [2G]\n"
            "  - slug: lab\n"
            "    title: Two\n"
            "    image: mlinfn/lab\n"
            "    memory: [2G, 8 GB]\n"
            "uids: {first: 80000, last: 70000}\n"
            "port: 90\n")
    assert refused(text) == [
        "The settings have 7 mistakes:",
        "1: port: this is 80, but it has to be a whole number from 1024 to 65500.",
        "2: culing: there is no such key. Did you mean `culling`?",
        "7: images[0].memroy: there is no such key. Did you mean `memory`?",
        "8: images[1].slug: lab is the slug of images[0] already.",
        '11: images[1].memory[1]: this is "8 GB", but it has to be a size such as 512M or 8G (K, M, G or T, no space).',
        "12: uids.last: 70000 is below `first`, 80000.",
        "13: port: written twice, on line 1 already. Keep one of them.",
    ]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("instance: ML", 1, "up to 20 small letters"),
        ("groups: [../x]", 1, "a group such as ml-infn"),
        ("groups: [Group A]", 1, "a group such as ml-infn"),
        (f"groups: [{'g' * 300}]", 1, "a group such as ml-infn"),
        ("groups: [cms, /cms]", 1, "cms is in this list already"),
        ("gids: {first: 80000, last: 95000}", 1, "overlap `uids`"),
        ("storage: {extra: [{source: data, target: /data}]}", 1, "an absolute path below /"),
        ("storage: {extra: [{source: /data/../etc, target: /data}]}", 1, "an absolute path below /"),
        ("storage: {extra: [{source: /srv/mlinfn/users, target: /data}]}", 1, "everybody's files and secrets"),
        ("storage: {extra: [{source: /srv, target: /data}]}", 1, "everybody's files and secrets"),
        ("storage: {extra: [{source: /var, target: /data}]}", 1, "would show /var/lib/docker"),
        ("storage: {extra: [{source: /run/docker.sock, target: /data}]}", 1, "would show /run"),
        ("storage: {extra: [{source: /data, target: /home/anna}]}", 1, "labs have their own /home"),
        ("storage: {extra: [{source: /data, target: /usr}]}", 1, "labs have their own /usr"),
        ("storage: {extra: [{source: /a, target: /data}, {source: /b, target: /data}]}", 1, "target of another"),
        ("storage: {extra: [{source: /a, target: /data, mode: write}]}", 1, "one of: ro, rw"),
        ("root: data", 1, "absolute path"),
        ("root: /", 1, "at least two levels"),
        ("port: 70000", 1, "from 1024 to 65500"),
        ("host: https://hub.example.org", 1, "without https://"),
        ("host: Hub:8000", 1, "host name"),
        ("host: 10.0.0.5\ntls: {mode: self-signed}", 1, "subdomains: false"),
        ("subdomains: perhaps", 1, "true or false"),
        ("login: google", 1, "one of: local"),
        ("login: iam", 1, "needs it. Write the address"),
        ("login: demo\nhost: hub.example.org", 1, "has to be localhost"),
        ("iam: {issuer: http://iam.example.org}", 1, "https://iam.example.org (http only"),
        ("iam: {issuer: 'https://a@iam.example.org/?x'}", 1, "https://iam.example.org (http only"),
        ("iam: {allowed_groups: [../etc]}", 1, "a group such as"),
        ("iam: {allowed_groups: [ml, /ml]}", 1, "in this list already"),
        ("iam: {scopes: [profile]}", 1, "`openid` is missing"),
        ("sizes:", 1, "is empty"),
        ("sizes: {memory: []}", 1, "empty list"),
        ("sizes: {memory: [2G, 2G]}", 1, "already"),
        ("sizes: {memory: [0G]}", 1, "512M"),
        ("sizes: {cpus: [0]}", 1, "above 0"),
        ("culling: {idle: 0s}", 1, "30m"),
        ("culling:\n  memory_idle: {3X: 1h}", 2, 'the key "3X" has to be a size'),
        ("culling:\n  memory_idle: {900G: 1h}", 2, "Offered are 2G, 4G, 8G"),
        ("network:\n  labs_subnet: 172.30.0.1/16", 2, "not the address of a machine"),
        ("network: {labs_subnet: 172.30.0.0/28}", 1, "too small"),
        ("network: {labs_subnet: 8.8.0.0/16}", 1, "not a private network"),
        ("network: {allow_networks: [172.30.1.0/24]}", 1, "overlaps the labs' own"),
        ("network: {allow_networks: [169.254.169.254/32]}", 1, "metadata"),
        ("network: {allow_networks: [12]}", 1, "a network such as"),
        ("uids: {first: 69000, last: 80000}", 1, "our own services"),
        ("unlisted_images: {groups: [a], pattern: '('}", 1, "not a regular expression"),
        ("unlisted_images: {groups: [a]}", 1, "Write one"),
        ("1: 2", 1, "no such key"),
        ("limits: {processes: many}", 1, "a whole number from 64"),
        ("starting: 5", 1, "pull_limit"),
    ],
    ids=lambda value: value.replace("\n", " ")[:40] if isinstance(value, str) else "",
)
def test_a_mistake_is_said_with_line_and_what_is_allowed(refused, text, line, words):
    first, problem = refused(f"{text}\n{IMAGE}")
    assert first == "The settings have 1 mistake:"
    assert problem.startswith(f"{line}: ")
    assert words in problem


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("{title: a, image: b}", "slug: is missing"),
        ("{slug: A b, title: a, image: b}", "small letters"),
        ("{slug: a--b, title: a, image: b}", "single hyphens"),
        ("{slug: unlisted, title: a, image: b}", "kept for `unlisted_images`"),
        ("{slug: a, title: ' ', image: b}", "not empty"),
        ("{slug: a, title: a, image: my image}", "image reference"),
        ("{slug: a, title: a, image: b, default_url: lab}", "begins with /"),
        ("just-a-name", "a mapping with the keys slug"),
    ],
)
def test_a_wrong_image_is_said_where_it_stands(refused, image, words):
    problem = refused(f"{IMAGE}  - {image}\n")[1]
    assert problem.startswith("3: images[1]")
    assert words in problem


def test_a_default_is_listed_once(refused):
    image = "  - {slug: %s, title: a, image: b, default: true}\n"
    problem = refused("images:\n" + image % "a" + image % "b")[1]
    assert problem.startswith("3: images[1].default: images[0] is the default already")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "1: images: there is no image to pick"),
        ("# nothing\n", "1: images: there is no image to pick"),
        ("images: []\n", "1: images: there is no image to pick"),
        ("- a\n", "1: this is a list, but it has to be a mapping"),
        ("just text\n", '1: this is "just text", but'),
        ("images:\n\t- a\n", "2: this is not YAML: found character '\\t' that cannot start any token. Indent"),
        ("images: [a\nport: 1\n", "2: this is not YAML"),
        ("a: !tag b\n", "1: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "this is not YAML"),
        ("a: &x [*x]\n", "1: a: there is no such key"),
    ],
)
def test_what_is_no_settings_file_is_said(refused, text, words):
    assert any(words in line for line in refused(text))


def test_a_file_that_is_not_text_is_said(tmp_path):
    (tmp_path / "mlinfn.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OperatorError, match="UTF-8"):
        load(tmp_path / "mlinfn.yaml")


def test_a_folder_is_not_a_settings_file(tmp_path):
    with pytest.raises(OperatorError, match="Is a directory"):
        load(tmp_path)


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_run(tmp_path):
    with pytest.raises(OperatorError, match=r"no settings file .*/none\.yaml.*install\.sh"):
        load(environ={"MLINFN_CONFIG": str(tmp_path / "none.yaml")})


def test_the_file_is_named_in_the_environment_or_in_the_checkout():
    assert str(config_path({"MLINFN_CONFIG": "/etc/x.yaml"})) == "/etc/x.yaml"
    assert config_path({}).parts[-2:] == ("config", "mlinfn.yaml")


def test_settings_made_in_code_are_checked_as_well():
    with pytest.raises(ValueError, match="below `first`"):
        Settings(uids={"first": 80000, "last": 75000})
