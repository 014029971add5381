/** Which sensors are meant: those that were picked, or all that match. */
export interface Which {
  oid: string
  picked: readonly string[]
  selector: string
  state: 'online' | 'offline' | undefined
}

/** The same, as fields of the list of sensors. */
export const fieldsOf = ({ selector, state }: Pick<Which, 'selector' | 'state'>) => ({
  selector,
  is_online_only: state === 'online' || undefined,
  is_offline_only: state === 'offline' || undefined,
})
