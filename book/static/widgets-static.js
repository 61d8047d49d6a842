// Mount the interactive figures of a page from their saved state: no kernel, no network, file:// too.
// A classic deferred script, since a browser refuses module files over file://.
(async () => {
  const STATE = "application/vnd.jupyter.widget-state+json", VIEW = "application/vnd.jupyter.widget-view+json";
  const tagged = (type) => [...document.querySelectorAll(`script[type="${type}"]`)];
  // A page may hold several states: a notebook's own, and one for each figure set into prose.
  const saved = Object.assign({}, ...tagged(STATE).map((tag) => JSON.parse(tag.textContent).state));
  const views = tagged(VIEW);
  views.forEach((tag) => { tag.type += ";mounted"; });  // at once: a second copy of this script finds none

  function values({ state, buffers = [] }) {
    for (const { path, data } of buffers) {
      const parent = path.slice(0, -1).reduce((o, key) => o[key], state);
      parent[path.at(-1)] = new DataView(Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer);
    }
    return state;
  }

  // What anywidget offers a module, without a kernel to tell.
  function makeModel(state) {
    const heard = new Map();
    const emit = (name) => [...(heard.get(name) ?? [])].forEach((f) => f());
    return {
      get: (key) => state[key],
      set(key, value) { if (state[key] !== value) { state[key] = value; emit(`change:${key}`); } },
      save_changes() {}, send() {},
      on(name, f) { heard.set(name, [...(heard.get(name) ?? []), f]); },
      off(name, f) { heard.set(name, (heard.get(name) ?? []).filter((g) => f && g !== f)); },
    };
  }

  const modules = new Map(), models = new Map(), styles = new Set();
  function load(source) {                               // one import for all figures of a kind
    if (!modules.has(source)) modules.set(source, import(URL.createObjectURL(new Blob([source], { type: "text/javascript" }))));
    return modules.get(source);
  }

  async function mount(id, el) {
    const { _esm, _css } = saved[id].state;
    if (_css && !styles.has(_css)) {
      styles.add(_css);
      document.head.append(Object.assign(document.createElement("style"), { textContent: _css }));
    }
    let widget = (await load(_esm)).default;
    if (typeof widget === "function") widget = await widget();
    if (!models.has(id)) {                              // two views of one widget share its model
      models.set(id, makeModel(values(saved[id])));
      await widget.initialize?.({ model: models.get(id) });
    }
    await widget.render({ model: models.get(id), el });
  }

  function note(el, text) {
    el.replaceChildren(Object.assign(document.createElement("p"), { className: "anywidget-note", textContent: text }));
  }

  for (const tag of views) {
    const id = JSON.parse(tag.textContent).model_id;
    const el = Object.assign(document.createElement("div"), { className: "anywidget-static" });
    tag.after(el);
    if (saved[id]?.model_module !== "anywidget") { note(el, "This control needs a running kernel: open the notebook to use it."); continue; }
    try {
      await mount(id, el);
      tag.parentElement.querySelectorAll(".figure-poster").forEach((poster) => { poster.hidden = true; });
    } catch (error) {
      console.error(`figure ${id}:`, error);
      note(el, "The interactive figure did not load in this browser.");
    }
  }
  document.documentElement.dataset.figures = "mounted"; // for tests: everything is in place
})();
