/*
 * What the browser keeps for the page. Its storage may be switched off or full; the
 * chat works without, it just forgets.
 */

/** A value in this storage (`localStorage` or `sessionStorage`): `load()` and `save(value)`. */
export function storageSlot(storage, name) {
  return {
    load() {
      try {
        return JSON.parse(window[storage].getItem(name));
      } catch {
        return null;
      }
    },
    save(value) {
      try {
        window[storage].setItem(name, JSON.stringify(value));
      } catch { /* forgotten, then */ }
    },
  };
}
