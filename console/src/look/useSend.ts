import { type SubmitEvent, useState } from 'react'

/** Sends a form; what was typed stays if that fails, and after it too if the form says so. */
export function useSend(send: (form: FormData) => Promise<unknown>, stays = false) {
  const [failure, setFailure] = useState<unknown>()
  const [busy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    setBusy(true)
    try {
      await send(new FormData(form))
      setFailure(undefined)
      if (!stays) form.reset()
    } catch (error) {
      setFailure(error)
    }
    setBusy(false)
  }
  return { failure, busy, submit: (event: SubmitEvent<HTMLFormElement>) => void submit(event) }
}
