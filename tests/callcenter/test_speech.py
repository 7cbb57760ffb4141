"""Words to files: the insurer's recording, the shipped one, one made before, synthesis, or nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from callcenter.live.speech import Speech
from ivr_flows.interpreter import Words
from ivr_flows.library import PROMPTS


def wav(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF")
    return path


def prepare(speech: Speech, *words: Words) -> list[str]:
    async def scene() -> list[str]:
        ready: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        speech.prepare(words, ready.set_result)
        return await asyncio.wait_for(ready, 20)

    return asyncio.run(scene())


def prompt(name: str, language: str = "zh") -> Words:
    return Words(language, name, "words")


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """No synthesis on this machine."""
    monkeypatch.setattr("callcenter.live.speech.shutil.which", lambda _program: None)


def test_shipped_prompts_are_there_at_once(tmp_path: Path) -> None:
    speech = Speech([PROMPTS], tmp_path)
    ready: list[list[str]] = []
    speech.prepare([prompt("notice"), prompt("main", "en")], ready.append)
    assert ready == [[str(PROMPTS / "zh/notice.wav"), str(PROMPTS / "en/main.wav")]], "no task, no waiting"


def test_the_insurers_own_recording_comes_first(tmp_path: Path) -> None:
    own = wav(tmp_path / "own" / "zh" / "notice.wav")
    anywhere = wav(tmp_path / "own" / "main.wav")
    speech = Speech([tmp_path / "own", PROMPTS], tmp_path / "cache")
    assert prepare(speech, prompt("notice"), prompt("main"), prompt("notice", "en")) == [
        str(own), str(anywhere), str(PROMPTS / "en/notice.wav"),
    ]  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_number_is_said_digit_by_digit(tmp_path: Path, language: str) -> None:
    files = prepare(Speech([PROMPTS], tmp_path), Words(language, "", "1 0 0", "100"))
    assert files == [str(PROMPTS / language / f"digit_{digit}.wav") for digit in "100"]


def test_what_cannot_be_had_is_counted_and_skipped(tmp_path: Path, mute: None) -> None:
    speech = Speech([PROMPTS], tmp_path)
    files = prepare(speech, prompt("nosuch"), prompt("notice"), Words("zh", "", "陈静，北京分公司。"))
    assert files == [str(PROMPTS / "zh/notice.wav")]
    assert speech.missing == 2


def test_nothing_to_say_is_ready_at_once(tmp_path: Path, mute: None) -> None:
    speech = Speech([PROMPTS], tmp_path)
    assert prepare(speech) == []
    assert prepare(speech, Words("zh", "", "  ")) == []
    assert speech.missing == 0


def test_what_was_made_before_is_used_again(tmp_path: Path, mute: None) -> None:
    speech = Speech([], tmp_path)
    words = Words("zh", "", "陈静")
    made = wav(speech._made(words))
    assert prepare(speech, words) == [str(made)]
    assert prepare(speech, Words("en", "", "陈静")) == [], "another voice is another file"


def test_music_by_name(tmp_path: Path) -> None:
    assert Speech([PROMPTS], tmp_path).file("zh", "music") == str(PROMPTS / "music.wav")
    assert Speech([], tmp_path).file("zh", "music") == ""


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", ".."])
def test_a_prompt_name_reaches_nothing_outside(tmp_path: Path, mute: None, name: str) -> None:
    assert prepare(Speech([PROMPTS], tmp_path), prompt(name)) == []


def test_a_synthesiser_that_fails_does_not_cost_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callcenter.live.speech.shutil.which", lambda _program: "/bin/false")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for program in ("espeak-ng", "sox"):
        script = bin_folder / program
        script.write_text("#!/bin/sh\nexit 3\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_folder))
    speech = Speech([PROMPTS], tmp_path / "cache")
    assert prepare(speech, Words("zh", "", "陈静"), prompt("notice")) == [str(PROMPTS / "zh/notice.wav")]
    assert speech.missing == 1
    assert list((tmp_path / "cache").iterdir()) == [], "nothing half made is left"


def test_synthesis_gives_a_file_that_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    speak = bin_folder / "espeak-ng"
    speak.write_text('#!/bin/sh\nwhile [ "$1" != -w ]; do shift; done\necho "$4" > "$2"\n')
    sox = bin_folder / "sox"
    sox.write_text('#!/bin/sh\n/bin/cp "$1" "${8}"\n')
    for script in (speak, sox):
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}")
    speech = Speech([], tmp_path / "cache")
    words = Words("zh", "", "陈静")
    (file,) = prepare(speech, words)
    assert Path(file).read_text() == "陈静\n"
    speak.unlink()
    assert prepare(speech, words) == [file]


def test_callers_who_want_the_same_words_at_once_all_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An announcement that nobody has made yet, and six callers."""
    made: list[str] = []

    async def run(*command: str) -> None:
        made.append(command[0])
        await asyncio.sleep(0.01)
        if command[0] == "espeak-ng":
            wav(Path(command[command.index("-w") + 1]))
        else:
            Path(command[1]).read_bytes()
            wav(Path(command[-1]))

    monkeypatch.setattr("callcenter.live.speech._run", run)
    monkeypatch.setattr("callcenter.live.speech.shutil.which", lambda program: program)
    speech = Speech([], tmp_path / "cache")

    async def scene() -> list[list[str]]:
        loop = asyncio.get_running_loop()
        callers = [loop.create_future() for _ in range(6)]
        for one in callers:
            speech.prepare([Words("zh", "", "系统维护")], one.set_result)
        return list(await asyncio.gather(*callers))

    heard = asyncio.run(scene())
    assert len({tuple(files) for files in heard}) == 1
    assert len(heard[0]) == 1
    assert made == ["espeak-ng", "sox"]
