"""The declarative suites (*.yaml) and the code that reads them."""
