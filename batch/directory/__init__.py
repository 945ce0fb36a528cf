"""The company's directory tells who joins and who leaves, by SCIM 2.0."""
