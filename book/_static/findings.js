// The page of findings: while words are typed, only rows that have all of them are shown.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("findings-table");
  if (!table) return;
  const box = document.querySelector(".findings-filter");
  const input = box.querySelector("input");
  const left = box.querySelector(".findings-left");
  const plain = (text) => text.toLowerCase().replaceAll("−", "-");

  // A chapter's first row is its heading; its words count for every row under it.
  const groups = [...table.tBodies].map((body) => {
    const [heading, ...rows] = body.rows;
    const words = (row) => plain(`${heading.textContent} ${row.textContent}`);
    return { body, rows: rows.map((row) => ({ row, words: words(row) })) };
  });
  const all = groups.reduce((n, group) => n + group.rows.length, 0);

  const filter = () => {
    const asked = plain(input.value).split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { body, rows } of groups) {
      const before = shown;
      for (const { row, words } of rows) {
        row.hidden = !asked.every((word) => words.includes(word));
        if (!row.hidden) shown += 1;
      }
      body.hidden = shown === before;
    }
    left.textContent = `${shown} of ${all} claims`;
  };
  input.addEventListener("input", filter);
  box.hidden = false;
  filter(); // a browser may have kept what was typed before
});
