"""The web page: Gradio lives in this package and nowhere else; every rule about parts lives below it."""
