"""The command line: YAML files and key=value words, left to right, become one strict Config.

No method and no data set is known here by name: both tables are handed in. A method's options are
merged into the `Options` dataclass of its class as strictly as every other key.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from pfedmma_dist.config.built import merged
from pfedmma_dist.config.help import listing, manual
from pfedmma_dist.config.identity import flat, meaning, refuse_unread
from pfedmma_dist.config.keys import Config, Dealing
from pfedmma_dist.config.limits import COOP, check
from pfedmma_dist.config.merge import (
    Layer,
    Methods,
    Word,
    hint,
    leaves,
    origins,
    parsed,
    place,
    plain,
)
from pfedmma_dist.config.optioned import tree_of
from pfedmma_dist.config.plugged import announced, idle, plugged
from pfedmma_dist.config.presets import find
from pfedmma_dist.config.ruled import chosen, settled
from pfedmma_dist.config.several import NAME, NAMES, check_names, read_as
from pfedmma_dist.config.words import OVERRIDE, file_layer, word_layer
from pfedmma_dist.config.written import to_yaml
from pfedmma_dist.spelling import quoted, shortened

LARGEST = 1_000_000
"""Whole number of a method's option: what is larger fits into no memory."""

FLAGS = ("--help", "-h", "--list", "--print-config")
Sources = Mapping[str, Callable[..., Any]]
"""Name -> reader of the data set, which may have a prompt of its own as `template`."""

NUM_CLIENTS = "data.num_clients"
EMBEDDED_DATA = "configs/data/glyphs_base_to_novel.yaml"
EMBEDDED_METHOD = "configs/method/glyphs/{}.yaml"


def parse(
    argv: list[str],
    *,
    methods: Methods,  # name -> class with an `Options` dataclass
    sources: Sources,
) -> Config | None:
    """Return the configuration of a command line; None where it asked for words and got them.

    `--help`, `--list` and `--print-config` write to stdout. Everything a user can mend is a
    ValueError.
    """
    flags = [word for word in argv if word.startswith("-")]
    for flag in flags:
        if flag not in FLAGS:
            raise ValueError(_unknown_flag(flag))
    words = [word for word in argv if word not in flags]
    if "--help" in flags or "-h" in flags or "--list" in flags:
        own = [word_layer(word) for word in words if word.startswith("plugins=")]
        known = plugged(own, methods, sources)
        is_list = flags.count("--list") == len(flags)
        text = (
            listing(known.methods, known.sources, known.rules)
            if is_list
            else manual(known.methods, known.rules)
        )
        sys.stdout.write(text + (announced() if is_list else ""))
        return None
    config = read(words, methods=methods, sources=sources)
    if flags:
        sys.stdout.write(to_yaml(config))
        return None
    return config


def with_default(argv: list[str]) -> list[str]:
    """Put the presets of the embedded world before arguments of `train` that name neither a file
    nor a data set."""
    words = [word for word in argv if not word.startswith("-")]
    if not all(OVERRIDE.fullmatch(word) for word in words) or _last_name(words, "data"):
        return argv
    if any(word.startswith(f"{NAMES}=") for word in words):
        return argv
    method = EMBEDDED_METHOD.format(_last_name(words, "method") or Config().method["name"])
    return [EMBEDDED_DATA, *([method] if find(method) else []), *argv]


def read(
    words: Iterable[Any],
    *,
    methods: Methods,
    sources: Sources,
    layer_of: Callable[[Any], Layer] = word_layer,
) -> Config:
    """Return the configuration of YAML files and key=value words, each key typed and checked.

    layer_of: reads a word; whoever reads many command lines may remember what files said, and a
    program gives its values in other forms than words.
    """
    return _configuration([layer_of(word) for word in words], methods, sources)


def unread(words: Iterable[str], config: Config) -> dict[str, str]:
    """Return key -> words of the keys given by key=value words that the configuration leaves
    unread, and does not refuse."""
    each = [{**flat(config), NAME: name} for name in read_as(config.data)]
    given = origins(Config, [word_layer(word) for word in words if OVERRIDE.fullmatch(word)])
    meanings = {key: meaning(key) for key in given}
    found = {
        key: f"{key} has no effect: it is read at {told.where} alone"
        for key, told in meanings.items()
        if not (told.refused or any(map(told.is_read, each)))
    }
    return {**found, **idle(config.plugins)}


def resolve_method(method: Mapping[str, Any], methods: Methods) -> tuple[str, Any]:
    """Return the name and the `Options` of a `method:` section."""
    values = dict(vars(_merge(None, [Layer("", {"method": dict(method)})], methods).method))
    name = values.pop("name")
    return name, methods[name].Options(**values)


def from_yaml(
    path: str | Path,
    *,
    methods: Methods,
    sources: Sources,
) -> Config:
    """Return the configuration in one file, for instance in a run folder."""
    return _configuration([file_layer(path)], methods, sources)


def _configuration(layers: list[Layer], methods: Methods, sources: Sources) -> Config:
    known = plugged(layers, methods, sources)
    methods, sources = known.methods, known.sources
    rule = chosen(layers, known.rules)
    tree = _merge(Config, layers, methods, known.rules[rule].Options if rule else None)
    tree.server = settled(tree.server, rule, known.rules)
    config = Config(
        **{item.name: getattr(tree, item.name) for item in fields(Config) if item.name != "method"},
        method={key: plain(value) for key, value in vars(tree.method).items()},
    )
    config.plugins = known.plugins
    given = origins(type(tree), layers)
    counted = config.data.partition is Dealing.natural or config.data.base_classes is not None
    if counted and NUM_CLIENTS not in given:
        config.data.num_clients = None  # 10 is the default of those that deal
    check_names(config.data, given, sources)
    check(config, sources)
    refuse_unread(config, "system")
    if config.data.template == COOP:
        own = {name: _own_template(name, sources) for name in read_as(config.data)}
        if not config.data.names:  # each of several has its own
            [config.data.template] = own.values()
    for name, value in config.method.items():
        if type(value) is int and abs(value) > LARGEST:
            raise ValueError(f"method.{name}: {value:.3g} is not at most {LARGEST:,}")
    own = dict(vars(tree.method))
    methods[own.pop("name")].Options(**own)  # for the checks of the method's own
    return config


def _own_template(name: str, sources: Sources) -> str:
    """Return the prompt that a data set comes with."""
    template = getattr(sources[name], "template", None)
    if template is None:
        known = [other for other in sorted(sources) if hasattr(sources[other], "template")]
        raise ValueError(
            f"data.template: {name} has no prompt of its own, as {', '.join(known)} have; write "
            "one, with {} for the class name"
        )
    return template


def _merge(
    schema: type | None, layers: list[Layer], methods: Methods, rule: type | None = None
) -> Any:
    """Merge into `schema` (or into nothing else) with the options of one method as its `method`.

    rule: the options of the server's rule, where a plugin's is named.
    """
    name = _method_name(layers, methods)
    return merged(tree_of(schema, name, methods[name].Options, rule), layers)


def _method_name(layers: Iterable[Layer], methods: Methods) -> str:
    """Return the last name that the layers give, once it and all its options are known."""
    name = Config().method["name"]
    given: dict[str, str] = {}  # option -> where
    for layer in layers:
        section = layer.tree.get("method")
        if isinstance(section, Word):
            section = parsed(section, "method")
        if isinstance(section, str):
            near = shortened(section)
            raise ValueError(f"method: {near!r} is not a section; write method.name={near}")
        if isinstance(section, Mapping):
            name = str(section.get("name", name))
            given.update({str(key): place(layer) for key in section if key != "name"})
    if name not in methods:
        known = ", ".join(sorted(methods))
        raise ValueError(
            f"method.name: {quoted(name)} is unknown{hint(name, methods)}; known: {known}"
        )
    options = {item.name for item in fields(methods[name].Options)}
    for option, where in given.items():
        if option not in options:
            raise ValueError(_unknown_option(option, where, name, methods))
    return name


def _unknown_option(option: str, where: str, name: str, methods: Methods) -> str:
    names = {other: [item.name for item in fields(methods[other].Options)] for other in methods}
    owners = [other for other in names if option in names[other]]
    elsewhere = f"; it is an option of {', '.join(owners)}" if owners else ""
    return (
        f"method.{shortened(option)}{where}: {name} has no such option"
        f"{hint(option, names[name])}{elsewhere}; its options: {', '.join(names[name]) or 'none'}"
    )


def _last_name(words: list[str], section: str) -> str | None:
    """Return the last name that key=value words give to a section."""
    last = None
    for word in words:
        key, _, value = word.partition("=")
        if key == f"{section}.name":
            last = value
        elif key == section:
            tree = parsed(Word(value), key)
            if isinstance(tree, Mapping) and "name" in tree:
                last = str(tree["name"])
    return last


def _unknown_flag(flag: str) -> str:
    assignment = OVERRIDE.fullmatch(flag.lstrip("-"))
    if assignment:
        return f"{flag}: keys are written without dashes: {flag.lstrip('-')}"
    meant = flag.lstrip("-").replace("-", "_")
    keys = [key for key in leaves(Config) if meant in (key, key.rpartition(".")[2])]
    like = f"; did you mean {' or '.join(f'{key}=...' for key in keys[:3])}?" if keys else ""
    return f"{flag} is unknown{like}; there are only --help, --list and --print-config"
