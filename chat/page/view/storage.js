/*
 * Values in the browser's storage. The storage may be switched off or full: then nothing
 * is kept, and the chat works without it.
 */

/**
 * Returns access to a value in this storage (`localStorage` or `sessionStorage`): `load()`, and
 * `save(value)`, which returns whether the value is kept.
 */
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
        return true;
      } catch {
        return false;
      }
    },
  };
}
