"""Images in: uploads and folders become safe float arrays, and `Geometry` maps them to the model and back."""
