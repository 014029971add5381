import { useEffect, useRef } from 'react'
import { openTerminal, type Prompted } from '../terminal/openTerminal.ts'
import { carryOut } from './carryOut.ts'
import type { Conversation } from './conversation.ts'
import { wishOf } from './line.ts'
import { promptOf, separatorOf } from './path.ts'

interface Props {
  talk: Conversation
  host: string
  isOver: boolean
  /** Orders of the session so far, whoever gave them. */
  ordered: number
}
const HINT = 'help lists what there is. F6 leaves the terminal.'

/** Where lines are typed and what comes of them is read. It outlives a session that ends. */
export default function Terminal({ talk, host, isOver, ordered }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const after = useRef<HTMLParagraphElement>(null)
  const terminal = useRef<Prompted>(undefined)
  const told = useRef(0)
  const now = useRef({ talk, isOver, folder: '' })
  if (now.current.talk !== talk) told.current = 0
  const folder = now.current.talk === talk && now.current.folder ? now.current.folder : (talk.session.current_working_directory ?? '/')
  now.current = { talk, isOver, folder }

  useEffect(() => {
    if (!box.current) return
    const ask = () => opened.ask(promptOf(host, now.current.folder))
    const enter = async (line: string) => {
      const { talk, isOver, folder } = now.current
      const separator = separatorOf(talk.session.drives)
      try {
        if (isOver) throw new Error('the session is over; open another one above')
        const { text, folder: next } = await carryOut(talk, wishOf(line, folder, separator), { folder, separator })
        if (text) opened.write(text)
        if (next) now.current.folder = next
      } catch (error) {
        opened.write((error as Error).message, 'bad')
      }
      ask()
    }
    const opened = openTerminal(box.current, `Terminal of ${host}`, {
      enter: (line) => void enter(line),
      interrupt: () => {
        opened.write('What runs goes on, and what came of it is in the transcript.', 'soft')
        ask()
      },
      leave: () => after.current?.focus(),
    })
    terminal.current = opened
    opened.write(HINT, 'soft')
    ask()
    opened.focus()
    return () => opened.close()
  }, [host])

  // Orders of others, and of the files beside it: one session, one transcript.
  useEffect(() => {
    if (ordered <= told.current) return
    const from = told.current
    told.current = ordered
    void talk.commands().then(
      (commands) => {
        for (const command of commands.filter((one) => one.id >= from && !talk.own.has(one.id)))
          terminal.current?.write(`(another) ${command.name} ${command.input.object ?? ''}`, 'soft')
      },
      () => {},
    )
  }, [talk, ordered])

  return (
    <div>
      <div className="screen" ref={box} />
      <p className="soft" tabIndex={-1} ref={after}>
        {HINT}
      </p>
    </div>
  )
}
