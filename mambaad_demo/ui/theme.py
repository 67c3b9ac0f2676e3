"""Colors, type and corners of Gradio's components: slate surfaces, one orange accent, the system's fonts."""

import gradio as gr

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def inspector_theme() -> gr.themes.Base:
    """The theme of the app; it fetches nothing, as Gradio's default fonts would."""
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.orange,
        secondary_hue=gr.themes.colors.orange,
        neutral_hue=gr.themes.colors.slate,
        font=SANS,
        font_mono=MONO,
        text_size=gr.themes.sizes.text_md,
        radius_size=gr.themes.sizes.radius_md,
    )
    return theme.set(
        body_background_fill="#f3f4f7",
        body_background_fill_dark="#0e1117",
        body_text_color="#1b2130",
        body_text_color_dark="#e7eaf0",
        body_text_color_subdued="#596377",
        body_text_color_subdued_dark="#97a1b5",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#161b25",
        background_fill_secondary="#f7f8fa",
        background_fill_secondary_dark="#1c2230",
        border_color_primary="#dde1e9",
        border_color_primary_dark="#272e3d",
        border_color_accent="#f97316",
        border_color_accent_dark="#fb923c",
        color_accent="#f97316",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_padding="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_title_text_color="*body_text_color_subdued",
        block_title_text_color_dark="*body_text_color_subdued",
        block_title_text_size="12px",
        block_title_text_weight="600",
        input_background_fill="#ffffff",
        input_background_fill_dark="#0e1117",
        input_border_color="#cfd5e0",
        input_border_color_dark="#303849",
        input_border_color_focus="#f97316",
        input_border_color_focus_dark="#fb923c",
        input_border_width="1px",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#1f2636",
        button_secondary_background_fill_hover="#f1f3f7",
        button_secondary_background_fill_hover_dark="#283146",
        button_secondary_border_color="#cfd5e0",
        button_secondary_border_color_dark="#333c50",
        button_secondary_text_color="#1b2130",
        button_secondary_text_color_dark="#e7eaf0",
        button_border_width="1px",
        button_small_padding="6px 11px",
        button_small_text_size="13px",
        button_small_text_weight="500",
        button_small_radius="8px",
        slider_color="#f97316",
        slider_color_dark="#fb923c",
        layout_gap="16px",
    )
