/** “1 sensor”, “12,480 sensors”. */
export const counted = (count: number, word: string) => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`
