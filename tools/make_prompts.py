#!/usr/bin/env python3
"""Make the shipped prompts and the music: espeak-ng speaks, sox resamples and plays. We own the result.

python tools/make_prompts.py            all that are missing
python tools/make_prompts.py --all      all
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ivr_flows.library import PROMPTS, shipped

VOICES = {"zh": "cmn", "en": "en-gb"}
DIGITS = {
    "zh": dict(zip("0123456789", ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"], strict=True)),
    "en": dict(
        zip(
            "0123456789",
            ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
            strict=True,
        )
    ),
}
WELCOME = {"zh": "您好，欢迎致电客户服务热线。", "en": "Welcome to the customer service hotline."}
GREETING = {
    "zh": "您好，这里是人工服务，请问有什么可以帮您？",
    "en": "Hello, you are through to an agent. How may I help?",
}
_CHORDS = (
    ("C4", "E4", "G4", "B4"),
    ("A3", "C4", "E4", "G4"),
    ("D4", "F4", "A4", "C5"),
    ("G3", "B3", "D4", "F4"),
)


def speak(language: str, text: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.wav"
        subprocess.run(["espeak-ng", "-v", VOICES[language], "-s", "160", "-w", raw, "--", text], check=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ["sox", raw, "-r", "8000", "-c", "1", "-b", "16", target, "norm", "-3"]
        subprocess.run(command, check=True)


def music(target: Path) -> None:
    """Eight plucked chords that ring into each other over a soft pad: forty seconds without a silent gap."""
    with tempfile.TemporaryDirectory() as folder:
        layers = []
        for n, chord in enumerate(_CHORDS * 2):
            layer = Path(folder) / f"{n}.wav"
            plucks = [part for note in chord for part in ("pluck", note)]
            pad = [part for note in chord[:2] for part in ("sine", note)]
            starts = [f"{0.6 * i:.2f}" for i in range(len(chord))] + ["0", "0"]
            effects = ["delay", *starts, "remix", "1,2,3,4,5v0.15,6v0.15", "fade", "0.3", "6.5", "1.5"]
            place = ["gain", "-n", "-14", "pad", str(5 * n), "40", "trim", "0", "40"]
            command = ["sox", "-n", "-r", "8000", "-b", "16", layer, "synth", "6.5", *plucks, *pad]
            subprocess.run([*command, *effects, *place], check=True)
            layers.append(layer)
        subprocess.run(["sox", "-m", *layers, target, "gain", "-n", "-12"], check=True)


def ringback(target: Path) -> None:
    """What a caller hears while a telephone rings in China: 450 Hz, one second of five (YD/T 1221)."""
    tone = ["synth", "1", "sine", "450", "fade", "0.01", "1", "0.01", "pad", "0", "4", "gain", "-12"]
    subprocess.run(["sox", "-n", "-r", "8000", "-b", "16", "-c", "1", target, *tone], check=True)


TONES = {"zip": (1000, 0.18, 0.12), "beep": (800, 0.4, 0.05)}
"""hertz, seconds, seconds of silence behind it"""


def tone(target: Path, hertz: int, seconds: float, quiet_s: float) -> None:
    """A short tone with a pause behind it: what an agent hears before a customer, a caller before their message."""
    made = [
        "synth",
        str(seconds),
        "sine",
        str(hertz),
        "fade",
        "t",
        "0.01",
        str(seconds),
        "0.02",
        "gain",
        "-6",
    ]
    pad = ["pad", "0.05", str(quiet_s)]
    subprocess.run(["sox", "-n", "-r", "8000", "-b", "16", "-c", "1", target, *made, *pad], check=True)


def main() -> None:
    everything = "--all" in sys.argv
    texts: dict[tuple[str, str], str] = {}
    for flow in shipped().values():
        for name, words in flow.prompts.items():
            for language, text in words.items() if name not in TONES else ():
                texts[language, name] = text
    for language in VOICES:
        texts[language, "welcome"] = WELCOME[language]
        texts[language, "agent_greeting"] = GREETING[language]
        for digit, word in DIGITS[language].items():
            texts[language, f"digit_{digit}"] = word
    for (language, name), text in sorted(texts.items()):
        target = PROMPTS / language / f"{name}.wav"
        if everything or not target.exists():
            speak(language, text, target)
            print(target.relative_to(PROMPTS))
    if everything or not (PROMPTS / "ringback.wav").exists():
        ringback(PROMPTS / "ringback.wav")
        print("ringback.wav")
    page_ring = PROMPTS.parents[1] / "softphone_ui" / "static" / "ring.wav"
    if everything or not page_ring.exists():
        ring(page_ring)
        print("ring.wav")
    for name, (hertz, seconds, quiet_s) in TONES.items():
        if everything or not (PROMPTS / f"{name}.wav").exists():
            tone(PROMPTS / f"{name}.wav", hertz, seconds, quiet_s)
            print(f"{name}.wav")
    if everything or not (PROMPTS / "music.wav").exists():
        music(PROMPTS / "music.wav")
        print("music.wav")


def ring(target: Path) -> None:
    """What an agent's page plays while a call rings: two soft notes, then a pause."""
    notes = ["synth", "0.5", "sine", "660", "sine", "880", "remix", "-", "fade", "t", "0.02", "0.5", "0.2"]
    command = ["sox", "-n", "-r", "8000", "-b", "16", target, *notes, "gain", "-14", "pad", "0", "1.5"]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
