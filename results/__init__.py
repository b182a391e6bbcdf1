"""What runs leave behind: records, tables, and the MLflow mirror. Never imports torch."""
