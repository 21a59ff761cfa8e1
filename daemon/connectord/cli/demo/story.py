"""What the demo plays: every rule of the lifecycle once, on a real daemon and a real HTTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from connectord.cli.demo.screen import PlainScreen
from connectord.errors import ControlError, RequestFailed
from connectord.testing.daemon_process import DaemonProcess
from connectord.testing.fake_system import FakeSystem
from connectord.testing.ports import held_port

OWNER = "anna@example.org"


async def tell(directory: Path, screen: PlainScreen) -> None:
    """Play everything, and record with ``screen`` what came of it."""
    fake = FakeSystem(callback_delay_seconds=0.2)
    with held_port() as callback_port, held_port() as closed_port:
        async with fake.serve():
            await _Story(DaemonProcess(directory), fake, screen, callback_port, closed_port).play()


class _Story:
    def __init__(
        self, daemon: DaemonProcess, fake: FakeSystem, screen: PlainScreen, callback_port: int, closed_port: int
    ) -> None:
        self._daemon = daemon
        self._fake = fake
        self._screen = screen
        self._callback_port = callback_port
        self._closed_port = closed_port
        self._never_notified: list[str] = []
        self._notified: list[str] = []

    async def play(self) -> None:
        """Start the daemon, play every act, and drain it."""
        daemon, screen = self._daemon, self._screen
        self.configure()
        screen.say(f"an external system listens on {self._fake.url}; a daemon starts in {daemon.directory}")
        await daemon.start()
        try:
            async with trio.open_nursery() as background:
                background.start_soon(self.show_cards)
                async with trio.open_nursery() as acts:
                    acts.start_soon(self.responses)
                    acts.start_soon(self.people)
                    acts.start_soon(self.retries)
                    acts.start_soon(self.limits)
                    acts.start_soon(self.late_and_early)
                    acts.start_soon(self.keys_and_refusals)
                await self.crash()
                await self.notices()
                background.cancel_scope.cancel()
            code = await daemon.stop()
            screen.say(f"the daemon drained and stopped with exit code {code}")
        finally:
            daemon.kill()

    def configure(self, depot_limit: int = 3) -> None:
        """Write connectord.toml; ``depot_limit`` is what rule 10 changes."""
        text = self._daemon.head(self._callback_port)
        text += f'[notify]\nvia = "webhook"\nurl = "http://127.0.0.1:{self._fake.port}/notices"\n'
        text += '[retry]\nlimit = 3\ndelay = "300ms"\n'
        systems = {
            "erp": 'timeout = "2s"\nallocation = { queue = "erp-exceptions" }',
            "archive": 'retry.limit = 2\nretry.delay = "400ms"',
            "depot": f'retry.limit = {depot_limit}\nretry.delay = "40s"\nretry.jitter = 0.0',
            "mailer": "response_expected = false",
            "scanner": 'timeout = "1s"\non_timeout = "close"',
            "robot": 'timeout = "1s"\nheartbeat_extends = true',
        }
        for name, lines in systems.items():
            unreachable = name in ("archive", "depot")
            url = f"http://127.0.0.1:{self._closed_port}/jobs" if unreachable else self._fake.url
            text += f'[systems.{name}]\nadapter = "http"\n{lines}\n[systems.{name}.http]\nurl = "{url}"\n'
        self._daemon.configure(text)

    async def show_cards(self) -> None:
        while True:
            try:
                answer = await self._daemon.call("list", limit=16)
                self._screen.show(answer["actions"])
            except ControlError as error:
                # it is being killed and started again
                self._screen.say(f"the daemon does not answer: {error}")
            await trio.sleep(0.2)

    async def _submit(self, system: str, play: str, case: str | None = None, **data: Any) -> str:
        params: dict[str, Any] = {"system": system, "owner": OWNER, "data": {"play": play, **data}}
        if case is not None:
            params["case"] = case
        action = await self._daemon.call("submit", **params)
        self._screen.say(f"{system}: submitted {action['id']} ({play})")
        return str(action["id"])

    async def _refused(self, method: str, **params: Any) -> str | None:
        try:
            await self._daemon.call(method, **params)
        except RequestFailed as error:
            return str(error)
        return None

    async def responses(self) -> None:
        """Rules 1, 2, 3, 4, 12, 19, 20, 21."""
        check, until = self._screen.check, self._daemon.until
        good = await self._submit("erp", "succeed", "C-1")
        bad = await self._submit("erp", "fail", "C-1")
        silent = await self._submit("erp", "silent", "C-1")
        flaky = await self._submit("erp", "flaky", times=1)
        rejected = await self._submit("erp", "reject")
        mail = await self._submit("mailer", "silent")
        scan = await self._submit("scanner", "silent")
        beat = await self._submit("robot", "progress", seconds=2.4)
        waiting = await until(silent, "waiting")
        check("1", "taken and not answered yet: Waiting", ok=waiting["deadline"] is not None)
        closed = await until(good, "closed")
        case = await self._daemon.call("case", id="C-1")
        merged = case["data"].get("done_by") == "fake"
        ok = closed["resolution"] == "done_successfully" and merged
        check("2", "a successful response closes it, and its data is in the case", ok=ok)
        todo = await until(bad, "todo")
        ok = todo["reason"] == "updated_by_integration" and todo["rejected_reason"] == "Vendor unknown"
        check("3", f"an unsuccessful response: To Do, '{todo['rejected_reason']}'", ok=ok)
        late = await until(silent, "todo")
        ok = late["reason"] == "timeout" and late["assigned_to"] == {"queue": "erp-exceptions"}
        check("4", "no response in time: To Do by timeout, in the queue erp-exceptions", ok=ok)
        retried, refused = await until(flaky, "closed"), await until(rejected, "todo")
        ok = retried["attempts"] == 2 and refused["attempts"] == 1
        check("12", "HTTP 503 is tried again; HTTP 422 is an unsuccessful response", ok=ok)
        sent = await until(mail, "closed")
        check("19", "no response expected: taken is done", ok=sent["resolution"] == "done_successfully")
        scanned = await until(scan, "closed")
        ok = scanned["resolution"] == "not_done_successfully" and scanned["reason"] == "timeout"
        check("20", "on_timeout = close: closed at the deadline", ok=ok)
        beaten = await until(beat, "closed")
        ok = beaten["resolution"] == "done_successfully" and beaten["progress"]["percent"] == 75
        check("21", "heartbeats keep it waiting beyond its time, and show 75 %", ok=ok)
        history = (await self._daemon.call("history", id=good))["history"]
        states = [row["to"] for row in history]
        ok = states == ["pending", "attempting", "waiting", "closed"] and all(row["who"] for row in history)
        check("18", "every change stands in the history: " + " > ".join(states), ok=ok)
        self._never_notified += [bad, silent, scan]

    async def people(self) -> None:
        """Rule 5."""
        call = self._daemon.call
        action = await self._submit("erp", "fail", "C-2")
        await self._daemon.until(action, "todo")
        taken = await call("take", id=action, user="ben")
        back = await call("release", id=action)
        await call("assign", id=action, user="eva")
        await call("take", id=action, user="eva")
        closed = await call("complete", id=action, resolution="not_done_successfully", note="vendor is gone")
        ok = taken["state"] == "in_progress" and back["assigned_to"] == {"queue": "erp-exceptions"}
        ok = ok and closed["resolution"] == "not_done_successfully"
        self._screen.check("5", "taken, handed back, handed on, closed unsuccessfully by hand", ok=ok)
        self._notified.append(action)

    async def retries(self) -> None:
        """Rules 7 and 9."""
        action = await self._submit("archive", "succeed", "C-3")
        with trio.fail_after(10):
            while True:
                card = await self._daemon.call("show", id=action)
                if card["connection_error"] and card["state"] == "pending":
                    break
                await trio.sleep(0.02)
        text = card["connection_error"]["text"]
        ok = "Tried 1 of 2 times" in text and "Next automatic try at" in text and card["label"] == "Retrying"
        self._screen.check("7", text.replace("\n", " "), ok=ok)
        closed = await self._daemon.until(action, "closed")
        text = closed["connection_error"]["text"]
        ok = closed["resolution"] == "not_done_successfully" and "Tried 2 of 2 times. No further tries" in text
        self._screen.check("9", text, ok=ok)
        self._notified.append(action)

    async def limits(self) -> None:
        """Rules 8, 10, 11 and 13."""
        call, check = self._daemon.call, self._screen.check
        first = await self._submit("depot", "succeed", "C-4")
        waits = await self._submit("erp", "late", seconds=1.8)
        before = await self._tried(first, 1)
        await call("retry", id=first)
        after = await self._tried(first, 2)
        check("8", "a manual retry runs now and counts: Tried 2 of 3", ok=after["retry_limit"] == 3)
        check("13", "and the next automatic try stays where it was", ok=before["due_at"] == after["due_at"])
        second = await self._submit("depot", "succeed", "C-4")
        await self._tried(second, 1)
        for tries in (2, 3):
            await call("retry", id=second)
            await self._tried(second, tries)
        await self._daemon.until(second, "closed")
        await self._daemon.until(waits, "waiting")
        self.configure(depot_limit=5)
        plan = (await call("reload", plan=True))["plan"]
        await call("reload")
        self._screen.say(f"depot: the retry limit is 5 now, plan was {plan['changed']}")
        a, b = await call("show", id=second), await call("show", id=first)
        ok = a["state"] == "closed" and "Tried 3 of 5 times. No further tries" in a["connection_error"]["text"]
        check("10a", "limit 3 to 5: the closed one shows 3 of 5 and stays closed", ok=ok)
        await call("retry", id=first)
        b = await self._tried(first, 3)
        ok = b["state"] == "pending" and "Tried 3 of 5 times" in b["connection_error"]["text"]
        check("10b", "limit 3 to 5: the one at 2 of 3 goes on, now 3 of 5", ok=ok)
        self.configure(depot_limit=3)
        done = await call("reload")
        c = await call("show", id=first)
        ok = c["state"] == "closed" and "Tried 3 of 5 times. No further tries" in c["connection_error"]["text"]
        check("10c", f"limit 5 to 3: closed at once ({done['plan']['actions']['close']}), still shows 3 of 5", ok=ok)
        unmoved = await call("show", id=waits)
        check("11", "a limit change does not touch what is waiting", ok=unmoved["state"] in ("waiting", "closed"))
        self._notified += [first, second]

    async def _tried(self, action: str, attempts: int) -> dict[str, Any]:
        with trio.fail_after(10):
            while True:
                card: dict[str, Any] = await self._daemon.call("show", id=action)
                if card["attempts"] == attempts and card["state"] in ("pending", "closed"):
                    return card
                await trio.sleep(0.02)

    async def late_and_early(self) -> None:
        """Rule 15."""
        early = await self._submit("erp", "early")
        twice = await self._submit("erp", "twice")
        late = await self._submit("scanner", "late", seconds=2.0)
        first = await self._daemon.until(early, "closed")
        await self._daemon.until(twice, "closed")
        # the card shows a response as soon as it is committed; the system hears of that a moment later
        answers: list[int] = []
        with trio.move_on_after(10):
            while 202 not in answers:
                await trio.sleep(0.05)
                answers = [status for _, status in self._fake.callback_answers]
        card = await self._daemon.call("show", id=late)
        ok = first["resolution"] == "done_successfully" and card["resolution"] == "not_done_successfully"
        ok = ok and bool(card["late_responses"])
        ok = ok and 202 in answers and set(answers) <= {200, 202}
        self._screen.check("15", "callbacks early, twice and late: each answered, the late one only recorded", ok=ok)

    async def keys_and_refusals(self) -> None:
        """Rules 16 and 17."""
        call = self._daemon.call
        once = await call("submit", system="erp", key="invoice-17", data={"play": "answer"})
        again = await call("submit", system="erp", key="invoice-17", data={"play": "answer"})
        other = await self._refused("submit", system="erp", key="invoice-17", data={"play": "fail"})
        ok = once["id"] == again["id"] and other is not None
        self._screen.check("17", "the same key gives the same action; another payload is refused", ok=ok)
        await self._daemon.until(once["id"], "closed")
        why = await self._refused("retry", id=once["id"])
        new = (await call("rerun", ids=[once["id"]]))["actions"][0]
        ok = why is not None and new["rerun_of"] == once["id"]
        self._screen.check("16", f"retry refused ({why}); rerun makes a new one", ok=ok)
        await self._daemon.until(new["id"], "closed")

    async def crash(self) -> None:
        """Rule 14."""
        action = await self._submit("erp", "hang", "C-5")
        await self._daemon.until(action, "attempting")
        with trio.fail_after(5):
            while not self._fake.keys_of(action):
                await trio.sleep(0.02)
        self._screen.say("the daemon is killed with SIGKILL in the middle of that attempt, and started again")
        self._daemon.kill()
        await self._daemon.start()
        closed = await self._daemon.until(action, "closed")
        attempts = (await self._daemon.call("attempts", id=action))["attempts"]
        keys = set(self._fake.keys_of(action))
        ok = [item["outcome"] for item in attempts] == ["interrupted", "taken"] and keys == {action}
        ok = ok and closed["resolution"] == "done_successfully"
        self._screen.check("14", "the attempt counts as interrupted, the next one bears the same key", ok=ok)

    async def notices(self) -> None:
        """Rules 6 and 9: who was told, and who was not."""
        with trio.move_on_after(8):
            while not set(self._notified) <= {notice["action"] for notice in self._fake.notices}:
                await trio.sleep(0.05)
        told = {notice["action"] for notice in self._fake.notices}
        ok = set(self._notified) <= told and not told & set(self._never_notified)
        self._screen.check("6", f"{OWNER} heard of rules 5 and 9, and of neither 3, 4 nor 20", ok=ok)
