// "Check yourself": an opened answer is marked right or wrong, and first tries are counted. The block
// is plain <details>, so without this script every answer still opens and explains itself.
document.addEventListener("DOMContentLoaded", () => {
  const name = (details) => details.querySelector("summary")?.textContent.trim() ?? "";
  const block = [...document.querySelectorAll("details")].find((d) => name(d).startsWith("Check yourself"));
  if (!block) return;

  // A question is a paragraph that opens with its number in bold; its answers follow.
  const questions = [];
  for (const node of block.children) {
    if (/^\d\./.test(node.querySelector(":scope > strong:first-child")?.textContent)) {
      questions.push({ answers: [], first: null });
    } else if (questions.length && /^[A-D]\. /.test(name(node))) {
      const right = node.querySelector("p").textContent.startsWith("✓");
      questions.at(-1).answers.push({ node, right, summary: node.querySelector("summary") });
    }
  }
  const answers = questions.flatMap((question) => question.answers);
  if (!answers.length) return;

  const foot = document.createElement("p");
  foot.className = "quiz-foot";
  foot.innerHTML =
    '<span role="status" aria-live="polite"><span class="visually-hidden"></span>' +
    '<span class="quiz-score"></span></span> <button type="button">Start again</button>';
  block.append(foot);
  const [verdict, score] = foot.querySelectorAll("span > span");
  const tell = (words) => {
    const right = questions.filter((question) => question.first?.right).length;
    verdict.textContent = words; // heard, not seen: the mark beside the answer says it to the eye
    score.textContent = `${right} of ${questions.length} right at the first try`;
    foot.hidden = !questions.some((question) => question.first); // nothing to count yet
  };

  for (const question of questions) {
    for (const answer of question.answers) {
      const { node, right, summary } = answer;
      // A click is a reader's own doing: by mouse, Enter or Space.
      summary.addEventListener("click", () => {
        if (node.open) return; // it is about to close, and keeps its mark
        question.first ??= answer;
        tell(`${name(node)[0]} is ${right ? "right" : "wrong"}. `);
        if (summary.querySelector(".quiz-mark")) return;
        node.classList.add(right ? "quiz-right" : "quiz-wrong");
        const mark = document.createElement("span");
        mark.className = "quiz-mark";
        mark.textContent = right ? "✓ right" : "✗ wrong";
        summary.append(" ", mark);
      });
    }
  }

  foot.querySelector("button").addEventListener("click", () => {
    for (const question of questions) question.first = null;
    for (const { node, summary } of answers) {
      node.open = false;
      node.classList.remove("quiz-right", "quiz-wrong");
      summary.querySelector(".quiz-mark")?.remove();
    }
    answers[0].summary.focus();
    tell("");
  });
  tell("");
});
