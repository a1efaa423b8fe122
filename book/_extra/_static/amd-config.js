// Where RequireJS finds the modules that a widget's state asks for: beside this page, never a CDN.
(function () {
  const root = document.documentElement.dataset.content_root || "./";
  const vendor = new URL(root + "_static/vendor/", document.baseURI).href;
  window.requirejs.config({
    paths: {
      anywidget: vendor + "anywidget",
      "@jupyter-widgets/html-manager": vendor + "embed-amd",
      "@jupyter-widgets/html-manager/dist": vendor.replace(/\/$/, ""),
    },
  });
  // The widget manager typesets labels through MathJax 2's interface; the pages load MathJax 3.
  window.MathJax = window.MathJax || {};
  window.MathJax.Hub = window.MathJax.Hub || {
    Queue: function (job) {
      const typeset = window.MathJax.typesetPromise;
      if (typeset && Array.isArray(job)) typeset(job.slice(2).filter(Boolean));
    },
  };
})();
