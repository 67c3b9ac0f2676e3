"""In whose name something is sent to the Hub: the visitor's, who signed in on a Space, or, among people who
share their work on an own machine, the server's."""

import time
from dataclasses import dataclass

import gradio as gr

from mambaad_demo.errors import InputError

NOT_SIGNED_IN = (
    "Sign in with Hugging Face first: it is sent in your name, with rights you grant for this alone."
)
_SERVER = (
    "Sent with the token of this server (HF_TOKEN), so in the name of whoever operates it. Nothing leaves "
    "this machine before you press Send."
)
_VISITOR = (
    "Sent in your own name: sign in, and this app may make repositories of yours and change those it made, "
    "no others. Nothing leaves this machine before you press Send."
)
_OFF = (
    "Publishing is off on this Space: it does not let visitors sign in. Its owner can set hf_oauth in the "
    "front matter of its README."
)
_OFF_HERE = (
    "Publishing is off here: whoever opens this page counts as a stranger to its operator, so nothing is "
    "sent in the operator's name. The operator can send from the command line, or set MAMBAAD_SHARED=1."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """How visitors say who they are to the Hub."""

    on_space: bool
    """Whether a Space serves the page."""
    is_shared: bool
    """Whether all who open the page share their work; else they are strangers."""
    is_offered: bool
    """Whether the Space lets them sign in; elsewhere this means nothing."""

    @property
    def by_server(self) -> bool:
        """Whether the server's token may be used: never for strangers."""
        return self.is_shared and not self.on_space

    @property
    def is_needed(self) -> bool:
        """Whether a button for it belongs on the page."""
        return self.on_space and self.is_offered

    @property
    def is_possible(self) -> bool:
        """Whether anybody can send anything."""
        return self.by_server or self.is_needed

    @property
    def words(self) -> str:
        """Who sends, for the page."""
        if self.by_server:
            return _SERVER
        if self.is_needed:
            return _VISITOR
        return _OFF if self.on_space else _OFF_HERE

    def require_possible(self) -> None:
        """
        Raises:
            InputError: nobody can send anything here.
        """
        if not self.is_possible:
            raise InputError(self.words)

    def token(self, request: gr.Request) -> str | None:
        """The visitor's token; None where the Hub library is to find the server's.

        Raises:
            InputError: nobody can send anything here, or nobody is signed in, or too long ago.
        """
        self.require_possible()
        if self.by_server:
            return None
        session = request.request.scope.get("session") or {} if request.request else {}
        granted = session.get("oauth_info") or {}
        if not granted.get("access_token") or granted.get("expires_at", 0) < time.time():
            raise InputError(NOT_SIGNED_IN)
        return str(granted["access_token"])


SERVER = SignIn(on_space=False, is_shared=True, is_offered=False)
"""A machine whose operator sends."""
