"use strict";
for (const box of document.querySelectorAll(".sortable")) {
  const [body, heads] = [box.querySelector("tbody"), [...box.querySelectorAll("th")]];
  const rows = [...body.rows], text = rows.map((row) => row.textContent.toLowerCase());
  const [search, status] = [box.querySelector("input"), box.querySelector("select")];
  const shown = box.querySelector("output");
  const filter = () => {
    const word = search.value.trim().toLowerCase();
    let count = 0;
    rows.forEach((row, k) => {
      row.hidden = !text[k].includes(word) || (status.value !== "" && row.dataset.status !== status.value);
      count += !row.hidden;
    });
    shown.textContent = `${count} of ${rows.length} rows`;
  };
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const before = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", { numeric: true });
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      body.append(...rows.toSorted((a, b) => sign * before(value(a, column), value(b, column))));
    });
  });
  search.addEventListener("input", filter);
  status.addEventListener("change", filter);
  box.querySelector(".tools").hidden = false;
  filter();
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
