/*
 * The page's address: its fragment names the open room, such as `#room-7`.
 */

/** Stands for all rooms that cannot exist: no room has this number. */
export const NO_SUCH_ROOM = 0;

/** Returns the fragment that names a room. */
export function hashOf(room) {
  return `#room-${room}`;
}

/**
 * Returns the number of the room that a fragment names, `NO_SUCH_ROOM` if it is like the name of a room but no room
 * can have it, or null if it names none.
 */
export function roomOf(hash) {
  const [, named = null] = /^#room-(.*)$/s.exec(hash) ?? [];
  if (named === null) return null;
  const number = Number(named);
  return /^[1-9]\d*$/.test(named) && Number.isSafeInteger(number) ? number : NO_SUCH_ROOM;
}
