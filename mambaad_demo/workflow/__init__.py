"""What is done with stored pictures: batches, exports and imports, figures, studies, reports."""
