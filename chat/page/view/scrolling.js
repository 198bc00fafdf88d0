/*
 * Keeps the visible messages in view. A user at the end stays there when heights change
 * (by a message, the composer, a phone's keyboard), and so does one who has come to a mark
 * between the messages. A user who has scrolled elsewhere is not moved by messages that are
 * added above or below.
 */

const AT_END = 40;
const NEAR = 800;
const ABOVE_MARK = 48; // of what is before the mark, this much is visible

export class Scrolling {
  #element;
  #content;
  #mark;
  #hasEnd;
  #moved;
  #follows = 'end'; // what stays in view: 'end', 'mark', or null: what the user has scrolled to
  #savedTop = 0; // the scroll position when the element was hidden
  #placedTop = 0; // the scroll position that was set last, not by the user
  #heights = ''; // at the last resize notification

  /**
   * `mark()` returns the element that is the mark, if there is one. `hasEnd()` returns whether new messages come
   * behind the last one that is there. `moved()` is called when scrolling or a resize has changed the visible part.
   */
  constructor({ element, content, mark, hasEnd, moved }) {
    this.#element = element;
    this.#content = content;
    this.#mark = mark;
    this.#hasEnd = hasEnd;
    this.#moved = moved;
    element.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    const observer = new ResizeObserver(() => this.#resized());
    observer.observe(element);
    observer.observe(content);
  }

  /** Whether the end is visible, or will be after the next layout. */
  get isAtEnd() {
    return this.#follows === 'end' || this.showsEnd;
  }

  /** Whether the end is visible. */
  get showsEnd() {
    return this.#element.clientHeight > 0 && this.#below < AT_END;
  }

  get followsEnd() {
    return this.#follows === 'end';
  }

  /** Whether the user has scrolled to another place than the end or the mark. */
  get isElsewhere() {
    return this.#follows === null;
  }

  get isNearTop() {
    return this.#element.clientHeight > 0 && this.#element.scrollTop < NEAR;
  }

  get isNearEnd() {
    return this.#element.clientHeight > 0 && this.#below < NEAR;
  }

  /** Stays at the end from now on. */
  toEnd() {
    this.#follows = 'end';
    this.place();
  }

  /** Stays at the mark from now on, or at the end if that is nearer. */
  toMark() {
    this.#follows = 'mark';
    this.place();
  }

  /** The user scrolls by some pixels, up if they are negative. */
  scrollBy(pixels) {
    this.#element.scrollTop += pixels;
    this.#follows = this.#followedHere;
    this.#moved();
  }

  /** A part that the user has opened has grown: they read on there, even if the end was in view before. */
  opened() {
    this.#follows = this.#followedHere;
    this.#heights = this.#heightsNow();
  }

  /** Scrolls to what is to stay in view. */
  place() {
    if (this.#element.clientHeight === 0 || this.#follows === null) return;
    const mark = this.#follows === 'mark' ? this.#mark() : null;
    this.#scrollTo(mark ? mark.offsetTop - ABOVE_MARK : this.#element.scrollHeight);
  }

  /** Saves the scroll position before the element is hidden, which resets it. */
  save() {
    this.#savedTop = this.#element.scrollTop;
  }

  /** Restores the scroll position when the element is shown again. */
  restore() {
    this.#scrollTo(this.#savedTop);
    this.place();
  }

  /** Runs a change above the visible part without moving that part. */
  above(change) {
    const fromEnd = this.#element.scrollHeight - this.#element.scrollTop;
    change();
    this.#scrollTo(this.#element.scrollHeight - fromEnd);
    this.#heights = this.#heightsNow();
  }

  /** Runs a change that moves an element of the content, and scrolls with it, or to what is to stay in view. */
  keep(element, change) {
    const before = element?.getBoundingClientRect().top;
    change();
    if (this.#follows !== null) this.place();
    else if (element) this.#scrollTo(this.#element.scrollTop + element.getBoundingClientRect().top - before);
  }

  get #below() {
    const { scrollHeight, scrollTop, clientHeight } = this.#element;
    return scrollHeight - scrollTop - clientHeight;
  }

  // What stays in view after the user has scrolled here.
  get #followedHere() {
    return this.#below < AT_END && this.#hasEnd() ? 'end' : null;
  }

  #scrollTo(top) {
    this.#element.scrollTop = top;
    this.#placedTop = this.#element.scrollTop;
  }

  // A height change scrolls too, and the observer is notified of it later. Only a scroll by the user leaves the end
  // or the mark.
  #scrolled() {
    if (this.#element.clientHeight === 0) return;
    const isOurs = this.#follows !== null && Math.abs(this.#element.scrollTop - this.#placedTop) < 1;
    if (!isOurs && this.#heightsNow() === this.#heights) {
      this.#follows = this.#followedHere;
    }
    this.#moved();
  }

  #resized() {
    if (this.#element.clientHeight === 0) return;
    this.#heights = this.#heightsNow();
    this.place();
    this.#moved();
  }

  #heightsNow() {
    return `${this.#content.offsetHeight} ${this.#element.clientHeight}`;
  }
}
