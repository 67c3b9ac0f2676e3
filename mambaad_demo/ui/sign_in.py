"""In whose name something is sent to the Hub: the visitor's, who signed in on a Space, or the server's."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """How visitors say who they are to the Hub."""

    on_space: bool
    """Whether strangers may be among them, who must not use the server's token."""
    is_offered: bool
    """Whether the Space lets them sign in."""

    @property
    def is_needed(self) -> bool:
        """Whether a button for it belongs on the page."""
        return self.on_space and self.is_offered

    @property
    def is_possible(self) -> bool:
        """Whether anybody can send anything."""
        return self.is_offered or not self.on_space

    @property
    def words(self) -> str:
        """Who sends, for the page."""
        if not self.on_space:
            return _SERVER
        return _VISITOR if self.is_offered else _OFF

    def token(self, request: gr.Request) -> str | None:
        """The visitor's token; None elsewhere than on a Space: the Hub library finds the server's.

        Raises:
            InputError: nobody is signed in, or too long ago.
        """
        if not self.on_space:
            return None
        session = request.request.scope.get("session") or {} if request.request else {}
        granted = session.get("oauth_info") or {}
        if not granted.get("access_token") or granted.get("expires_at", 0) < time.time():
            raise InputError(NOT_SIGNED_IN)
        return str(granted["access_token"])


SERVER = SignIn(on_space=False, is_offered=False)
"""A machine whose operator sends."""
