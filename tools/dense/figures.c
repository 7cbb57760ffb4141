
/* Of a call, the few figures that the worker asks for at every change, without the C++ layer's copies of
 * everything. To be called by the thread that runs the library. */

/* State and last status as state * 1000 + status; -1 for a call that is not there. */
PJ_DEF(int) cc_call_state(int id)
{
    pjsua_call *call;
    if (id < 0 || id >= (int)pjsua_var.ua_cfg.max_calls) return -1;
    call = &pjsua_var.calls[id];
    if (call->inv && call->inv->state == PJSIP_INV_STATE_DISCONNECTED)
	return PJSIP_INV_STATE_DISCONNECTED * 1000 + (int)call->inv->cause;
    if (call->hanging_up) return PJSIP_INV_STATE_DISCONNECTED * 1000 + (int)call->last_code;
    return call->inv ? (int)call->inv->state * 1000 + (int)call->last_code : -1;
}

/* Does audio flow (or may it, were the far end not holding)? */
PJ_DEF(int) cc_audio_active(int id)
{
    pjsua_call *call;
    unsigned i;
    if (id < 0 || id >= (int)pjsua_var.ua_cfg.max_calls) return 0;
    call = &pjsua_var.calls[id];
    for (i = 0; i < call->med_cnt; ++i) {
	if (call->media[i].type == PJMEDIA_TYPE_AUDIO &&
	    (call->media[i].state == PJSUA_CALL_MEDIA_ACTIVE ||
	     call->media[i].state == PJSUA_CALL_MEDIA_REMOTE_HOLD))
	    return 1;
    }
    return 0;
}

/* Packets received, sent, lost inwards, lost outwards; mean jitter and round trip in microseconds; the
 * codec's name. 0 where there is no audio. */
PJ_DEF(int) cc_stream_figures(int id, int index, int figures[6], char codec[32])
{
    pjsua_call_media *media;
    pjmedia_rtcp_stat stat;
    pjmedia_stream_info info;
    if (id < 0 || id >= (int)pjsua_var.ua_cfg.max_calls) return 0;
    if (index < 0 || index >= (int)pjsua_var.calls[id].med_cnt) return 0;
    media = &pjsua_var.calls[id].media[index];
    if (media->type != PJMEDIA_TYPE_AUDIO || !media->strm.a.stream) return 0;
    if (pjmedia_stream_get_stat(media->strm.a.stream, &stat) != PJ_SUCCESS) return 0;
    if (pjmedia_stream_get_info(media->strm.a.stream, &info) != PJ_SUCCESS) return 0;
    figures[0] = (int)stat.rx.pkt;
    figures[1] = (int)stat.tx.pkt;
    figures[2] = (int)stat.rx.loss;
    figures[3] = (int)stat.tx.loss;
    figures[4] = (int)stat.rx.jitter.mean;
    figures[5] = (int)stat.rtt.mean;
    pj_ansi_snprintf(codec, 32, "%.*s", (int)info.fmt.encoding_name.slen, info.fmt.encoding_name.ptr);
    return 1;
}
