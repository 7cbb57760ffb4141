/* pjproject settings of the dense build: one worker process, many G.711 call legs.
 * build.sh copies this file to pjlib/include/pj/config_site.h; a change here is a new build. */

/* Capacity. UaConfig().maxCalls reports PJSUA_MAX_CALLS at run time. */
#define PJSUA_MAX_CALLS                 1024
#define PJSUA_MAX_ACC                   64
#define PJSUA_MAX_PLAYERS               1024
#define PJSUA_MAX_RECORDERS             1024
#define PJSUA_MAX_CONF_PORTS            4096
#define PJ_IOQUEUE_MAX_HANDLES          8192
#define PJSIP_MAX_TSX_COUNT             (64*1024-1)
#define PJSIP_MAX_DIALOG_COUNT          (32*1024-1)
#define PJSIP_MAX_TIMER_COUNT           (128*1024)
#define PJSIP_MAX_TIMED_OUT_ENTRIES     64
#define PJSIP_MAX_TRANSPORTS            2048

/* Messages and sockets. */
#define PJSIP_MAX_PKT_LEN               8000
#define PJSIP_MAX_URL_SIZE              512
#define PJSIP_DONT_SWITCH_TO_TCP        1 /* towards the edge every message goes by UDP, however long */
#define PJSIP_UDP_SO_SNDBUF_SIZE        (4*1024*1024)
#define PJSIP_UDP_SO_RCVBUF_SIZE        (4*1024*1024)
#define PJ_HAS_IPV6                     1

/* The worker's 180 follows within milliseconds: a 100 before it is one message more for everybody. */
#define PJSUA_DISABLE_AUTO_SEND_100     1

/* Media: narrow-band audio, no video. */
#define PJMEDIA_HAS_VIDEO               0
#define PJSUA_HAS_VIDEO                 0
#define PJMEDIA_HAS_SRTP                1
#define PJMEDIA_SRTP_HAS_DTLS           1
#define PJMEDIA_CONF_USE_AGC            0
#define PJMEDIA_HAS_ALAW_ULAW_TABLE     1
#define PJMEDIA_HAS_RTCP_XR             0
/* Audio comes from where the SDP says or, behind a NAT, from whoever sends first; once a source is known
 * nobody else is let in, however long they try. */
#define PJMEDIA_RTP_NAT_PROBATION_CNT   0x7fffffff
#define PJMEDIA_RTCP_NAT_PROBATION_CNT  0x7fffffff

/* No debug checks; a malformed message must never abort the process (see also -DNDEBUG). */
#define PJ_DEBUG                        0
#define PJ_OS_HAS_CHECK_STACK           0
#define PJ_LOG_MAX_LEVEL                2
