import { useMutation, useQuery } from '@tanstack/react-query'
import { useId, useRef, useState } from 'react'
import { Delete } from '../look/Delete.tsx'
import { Failure } from '../look/Failure.tsx'
import { ListTable } from '../look/ListTable.tsx'
import { complain, notify } from '../look/notices.tsx'
import { sizeOf } from '../look/size.ts'
import { visible } from '../look/visible.ts'
import { counted } from '../look/words.ts'
import { type Conversation, download, type Entry, isFolder } from './conversation.ts'
import { inside, resolved, separatorOf, stepsTo } from './path.ts'

const HEADS = [{ name: 'Name' }, { name: 'Size', isNumber: true }, { name: 'Acts' }]
/** Entries that are drawn; the terminal lists all. */
const SHOWN_MAX = 500

const byName = (a: Entry, b: Entry) => Number(isFolder(b)) - Number(isFolder(a)) || a.filename.localeCompare(b.filename)

/** Folders and files of the machine. */
export function Files({ talk, isOver }: { talk: Conversation; isOver: boolean }) {
  const { drives, current_working_directory } = talk.session
  const separator = separatorOf(drives)
  const [folder, setFolder] = useState(current_working_directory ?? drives?.[0] ?? separator)
  const id = useId()
  const coming = useRef<AbortController>(undefined)
  const read = useQuery({
    queryKey: ['folder', talk.session.id, folder],
    queryFn: () => talk.entries(inside(folder, separator)),
    staleTime: Infinity,
    retry: false,
    refetchOnWindowFocus: false,
  })
  const at = (name: string) => resolved(folder, name, separator)
  const bring = useMutation({
    mutationFn: async (name: string) => {
      const { href, file } = await talk.bring(at(name))
      download(href, name)
      return `${name}: ${sizeOf(file.size)}, downloaded. SHA-256 ${file.sha256}`
    },
    onSuccess: (said) => notify(said),
    onError: (error) => complain('The file was not brought', error),
  })
  const send = useMutation({
    mutationFn: (file: File) => {
      coming.current = new AbortController()
      return talk.send(file, at(file.name), coming.current.signal)
    },
    onSuccess: ({ sha256 }, file) => {
      notify(`${file.name} is there. SHA-256 ${sha256}`)
      void read.refetch()
    },
    onError: (error) =>
      coming.current?.signal.aborted ? notify('The file was not sent: you cancelled it.') : complain('The file was not sent', error),
  })
  const all = [...(read.data ?? [])].sort(byName)
  return (
    <section className="panel" aria-label="Files">
      <nav className="line" aria-label="Folder">
        {stepsTo(folder, separator).map((step) => (
          <button key={step.path} type="button" className="plain link mono" onClick={() => setFolder(step.path)}>
            {visible(step.name)}
          </button>
        ))}
        <span className="grow" />
        <button type="button" disabled={isOver || read.isFetching} onClick={() => void read.refetch()}>
          Look again
        </button>
      </nav>
      {read.error && !isOver && <Failure what="The folder could not be read" error={read.error} again={() => void read.refetch()} />}
      {read.isFetching && !read.data && <p role="status">Looking…</p>}
      {read.data && !all.length && <p className="soft">The folder is empty.</p>}
      {all.length > SHOWN_MAX && (
        <p className="soft">
          The first {SHOWN_MAX} of {counted(all.length, 'entry')}; the terminal lists all.
        </p>
      )}
      {all.length > 0 && (
        <ListTable
          label="Entries"
          heads={HEADS}
          rows={all.slice(0, SHOWN_MAX).map((entry) => {
            const name = visible(entry.filename)
            return {
              key: entry.filename,
              cells: [
                isFolder(entry) ? (
                  <button
                    key="name"
                    type="button"
                    className="plain link mono"
                    disabled={isOver}
                    onClick={() => setFolder(at(entry.filename))}
                  >
                    {name}
                    {separator}
                  </button>
                ) : (
                  <span key="name" className="mono">
                    {name}
                  </span>
                ),
                isFolder(entry) ? '' : sizeOf(entry.size),
                !isOver && (
                  <span key="acts" className="line">
                    {!isFolder(entry) && (
                      <button
                        type="button"
                        aria-label={`Download ${name}`}
                        disabled={bring.isPending}
                        onClick={() => bring.mutate(entry.filename)}
                      >
                        Download
                      </button>
                    )}
                    <Delete
                      name={name}
                      remove={() => talk.order('delete file', { path: at(entry.filename) })}
                      then={() => void read.refetch()}
                    >
                      It is deleted on the machine, and cannot be brought back. A folder must be empty.
                    </Delete>
                  </span>
                ),
              ],
            }
          })}
        />
      )}
      {!isOver && (
        <div className="field">
          <label htmlFor={`${id}file`}>Send a file into this folder</label>
          <input
            id={`${id}file`}
            type="file"
            disabled={send.isPending}
            onChange={(event) => {
              const file = event.target.files?.[0]
              if (file) send.mutate(file)
              event.target.value = ''
            }}
          />
          {send.isPending && (
            <div className="line">
              <span role="status">Sending {visible(send.variables.name)}…</span>
              <button type="button" onClick={() => coming.current?.abort()}>
                Cancel
              </button>
            </div>
          )}
        </div>
      )}
    </section>
  )
}
