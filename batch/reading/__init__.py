"""What a workbook says, without a database."""
