"""The table on the screen."""

HEAD = ("case", "Postfix", "Posthouse", "ratio", "reach", "")


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def render(rows, runs, quick):
    """The rows as text. `✓` or `✗` where a figure is to be reached."""
    lines = [HEAD]
    for row in rows:
        mark = {True: "✓", False: "✗", None: ""}[row["reached"]]
        ratio = f"{row['ratio']:.1f}×" if row["ratio"] else ""
        lines.append((f"{row['case']}, {row['unit']}", number(row["postfix"]), number(row["posthouse"]), ratio, row["reach"], mark))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines]
    note = f"median of {runs}; both durable, loopback, side by side in this run"
    if quick:
        note = "QUICK: one short run, no figure to claim"
    return "\n".join(["", *text, "", note])
