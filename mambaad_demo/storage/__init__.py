"""What is kept: pictures, inspections, decisions of people, jobs; rows by SQLAlchemy, files by fsspec."""
