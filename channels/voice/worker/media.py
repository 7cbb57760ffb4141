"""Prompts, music and recorders of one worker. Everything here runs on the worker's own thread."""

from __future__ import annotations

import contextlib
import functools
import time
import wave
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from channels.voice import wav
from channels.voice.worker.inband import Ear
from channels.voice.worker.legs import Leg, Play, Recording
from channels.voice.worker.rooms import Pair
from channels.voice.worker.sip import Sip
from channels.voice.worker.timers import Timers

_TAIL_MS = 40


class Media:
    def __init__(self, sip: Sip, timers: Timers, now_ms: Callable[[], int]) -> None:
        self._sip, self._timers, self._now_ms = sip, timers, now_ms
        self._music: dict[str, Any] = {}
        self._lengths: dict[str, int] = {}
        self.on_played: Callable[[Leg, str, bool], None] = lambda _leg, _play, _interrupted: None
        self.on_missing: Callable[[Leg, str], None] = lambda _leg, _file: None

    def play(self, leg: Leg, play: Play) -> None:
        """Replace whatever the leg hears by these files in order; waits for audio if there is none yet."""
        self.quiet(leg)
        leg.play = play
        if leg.audio_ready:
            self._next_file(leg, play)

    def quiet(self, leg: Leg, interrupted: bool = True) -> None:
        """Stop prompt and music of the leg."""
        play, leg.play = leg.play, None
        if play is not None:
            self._drop_player(play)
            self.on_played(leg, play.id, interrupted)
        if leg.music:
            self._transmit(self._music.get(leg.music), leg, start=False)
        leg.music = leg.wanted_music = ""

    def music(self, leg: Leg, path: str) -> None:
        """One player per file, shared by all who wait."""
        self.quiet(leg)
        leg.wanted_music = path
        if not leg.audio_ready or not path:
            return
        player = self._music.get(path)
        if player is None:
            player = self._open(path, leg, loop=True)
            if player is None:
                return
            self._music[path] = player
        self._transmit(player, leg, start=True)
        leg.music = path

    def audio_ready(self, leg: Leg) -> None:
        """The leg's audio came up (again after a re-INVITE): start what was waiting for it."""
        if leg.play is not None:
            if leg.play.player is None:
                self._next_file(leg, leg.play)
            else:
                self._transmit(leg.play.player, leg, start=True)
        elif leg.wanted_music:
            self.music(leg, leg.wanted_music)

    def listen(self, leg: Leg, pipe: Path) -> None:
        """Listen for keys in the leg's sound, or go on listening after its audio was replaced.

        Raises OSError where the detector is not installed, or the library's Error."""
        if leg.ear is None:
            leg.ear = Ear(self._sip.pj, pipe)
            self._sip.silence.startTransmit(leg.ear.recorder)
        self._sip.audio(leg.id).startTransmit(leg.ear.recorder)

    def deafen(self, leg: Leg) -> None:
        ear, leg.ear = leg.ear, None
        if ear is not None:
            self._sip.silence.stopTransmit(ear.recorder)
            ear.close()

    def join(self, pairs: Iterable[Pair]) -> None:
        """Let each sink hear its source. Raises KeyError or the library's Error for a leg that is gone."""
        audio = self._ports()
        for source, sink in sorted(pairs):
            audio(source).startTransmit(audio(sink))

    def part(self, pairs: Iterable[Pair]) -> None:
        """A leg that is gone is parted already."""
        audio = self._ports()
        for source, sink in sorted(pairs):
            with contextlib.suppress(KeyError, self._sip.pj.Error):
                audio(source).stopTransmit(audio(sink))

    def _ports(self) -> Callable[[str], Any]:
        """Each leg's port, fetched once for one piece of work."""
        return functools.cache(self._sip.audio)

    def record(self, caller: Leg, agent: Leg, interaction: str, folder: str, name: str) -> Recording:
        """A recorder a side, created together, each with silence as a permanent source.

        Raises OSError or the library's Error when a file cannot be written."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        recording = Recording(
            interaction,
            f"{folder}/{name}-caller.wav",
            f"{folder}/{name}-agent.wav",
            self._now_ms(),
            legs=(caller.id, agent.id),
        )
        for leg, path in ((caller, recording.caller_file), (agent, recording.agent_file)):
            recorder = self._sip.pj.AudioMediaRecorder()
            recorder.createRecorder(path)
            self._sip.silence.startTransmit(recorder)
            self._sip.audio(leg.id).startTransmit(recorder)
            recording.recorders.append(recorder)
        caller.recording = agent.recording = recording
        return recording

    def message(self, caller: Leg, plan: dict[str, Any]) -> Recording:
        """The caller alone, behind a tone. Raises OSError or the library's Error when the file cannot be written."""
        folder = Path(plan["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        recording = Recording(
            plan["interaction"],
            f"{folder}/{plan['name']}-caller.wav",
            "",
            self._now_ms(),
            legs=(caller.id,),
            kind=plan["kind"],
            queue=plan["queue"],
        )
        recorder = self._sip.pj.AudioMediaRecorder()
        recorder.createRecorder(recording.caller_file)
        self._sip.silence.startTransmit(recorder)
        self._sip.audio(caller.id).startTransmit(recorder)
        recording.recorders.append(recorder)
        caller.recording = recording
        return recording

    def pause(self, recording: Recording, on: bool) -> None:
        """Silence instead of what is said, so that times in the file stay true."""
        recording.paused = on
        for leg, recorder in zip(recording.legs, recording.recorders, strict=True):
            with contextlib.suppress(KeyError, self._sip.pj.Error):
                audio = self._sip.audio(leg)
                (audio.stopTransmit if on else audio.startTransmit)(recorder)

    def stop_record(self, recording: Recording) -> int:
        """Close both files; answers the recorded ms."""
        for recorder in recording.recorders:
            self._sip.silence.stopTransmit(recorder)
        recording.recorders.clear()
        return self._now_ms() - recording.started_ms

    def _next_file(self, leg: Leg, play: Play) -> None:
        self._drop_player(play)
        while play.files:
            path = play.files.pop(0)
            player = self._open(path, leg, loop=False)
            if player is None:
                continue
            play.player = player
            self._transmit(player, leg, start=True)
            due = self._now_ms() + self._lengths[path] + _TAIL_MS
            play.timer = self._timers.at(due, lambda: self._ended(leg, play))
            return
        self.quiet(leg, interrupted=False)

    def _ended(self, leg: Leg, play: Play) -> None:
        if leg.play is play:
            self._next_file(leg, play)

    def _open(self, path: str, leg: Leg, loop: bool) -> Any:
        """A player, or None where the file cannot be used: said, counted and skipped."""
        pj = self._sip.pj
        try:
            if path not in self._lengths:
                self._lengths[path] = wav.duration_ms(Path(path))
            player = pj.AudioMediaPlayer()
            player.createPlayer(path, 0 if loop else pj.PJMEDIA_FILE_NO_LOOP)
        except (OSError, EOFError, wave.Error, pj.Error):
            self._lengths.pop(path, None)
            self.on_missing(leg, path)
            return None
        return player

    def _drop_player(self, play: Play) -> None:
        if play.timer is not None:
            play.timer.cancel()
        play.player = play.timer = None

    def _transmit(self, source: Any, leg: Leg, start: bool) -> None:
        """Connect or disconnect; a leg that ended meanwhile has no audio, which is no error. One retry
        on PJ_EINVAL, which the library answers while a port is being replaced."""
        if source is None:
            return
        for attempt in (1, 2):
            try:
                sink = self._sip.audio(leg.id)
                (source.startTransmit if start else source.stopTransmit)(sink)
                return
            except KeyError:
                return
            except self._sip.pj.Error:
                if attempt == 2 or not start:
                    return
                time.sleep(0)
