"""The script language: text to values, and values to text again. Nothing is run here."""
