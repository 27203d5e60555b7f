"""Commands that help to type others: names of models, completion."""
