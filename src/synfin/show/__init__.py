"""What people see, made from events alone: ladders, tables and words, in English and Chinese."""
