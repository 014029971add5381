/** Signs for control characters begin here in Unicode: ␀. */
const PICTURES = 0x2400

/** A text whose control characters, but those of lines and tabs, are seen instead of acting. */
export const visible = (text: string) =>
  Array.from(text, (character) => {
    const code = character.charCodeAt(0)
    if (code === 0x7f) return '␡'
    return code < 0x20 && character !== '\n' && character !== '\t' ? String.fromCharCode(PICTURES + code) : character
  }).join('')
