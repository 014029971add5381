/** Gives the user a file. */
export function saveFile(name: string, text: string) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: name.endsWith('.csv') ? 'text/csv' : 'application/json' }))
  link.download = name
  link.click()
  URL.revokeObjectURL(link.href)
}
