"""The checks: each a function from Evidence to Check, named as the sentence that it proves, grouped by what it looks at."""
