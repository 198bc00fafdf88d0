/*
 * The theme: light or dark, as the user has chosen or else as the system is. A plain script
 * and no module, so that the page is first drawn in the right colours. Modules reach it as
 * `globalThis.theme`. The colours are in style/base.css.
 */

globalThis.theme = (() => {
  const CHOICES = ['light', 'dark'];
  // The background of each theme, for the browser's own bars.
  const GROUNDS = { light: '#eeeef5', dark: '#12121a' };
  const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
  let choice = null;

  const load = () => {
    try {
      choice = known(JSON.parse(localStorage.getItem('theme')));
    } catch { /* The storage is off: the choice lasts until the page is left. */ }
  };
  const known = (value) => (CHOICES.includes(value) ? value : null);
  const show = () => {
    const shown = choice ?? (systemIsDark.matches ? 'dark' : 'light');
    document.documentElement.dataset.theme = shown;
    document.querySelector('meta[name="color-scheme"]').content = shown;
    document.querySelector('meta[name="theme-color"]').content = GROUNDS[shown];
  };

  load();
  show();
  systemIsDark.addEventListener('change', show);
  // Another window has changed it.
  addEventListener('storage', () => {
    load();
    show();
  });

  return {
    /** `light`, `dark`, or null for the system's theme. */
    get choice() {
      return choice;
    },
    set choice(value) {
      choice = known(value);
      show();
      try {
        localStorage.setItem('theme', JSON.stringify(choice));
      } catch { /* See above. */ }
    },
  };
})();
