/** Signs for control characters begin here in Unicode: ␀. */
const PICTURES = 0x2400
/** Control characters without a sign of their own, and those that turn the direction of writing. */
const UNSEEN = /[\u0080-\u009f\u202a-\u202e\u2066-\u2069]/g

/** A text whose control characters, but those of lines and tabs, are seen instead of acting. */
export const visible = (text: string) =>
  Array.from(text.replace(UNSEEN, '�'), (character) => {
    const code = character.charCodeAt(0)
    if (code === 0x7f) return '␡'
    return code < 0x20 && character !== '\n' && character !== '\t' ? String.fromCharCode(PICTURES + code) : character
  }).join('')
